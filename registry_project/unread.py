"""What gunicorn refuses before it reaches the application: answered in the registry's form, not in HTML."""

import json
import socket
from collections.abc import Mapping

from gunicorn.util import write_nonblock

from tokens.body import too_many_slow_clients
from tokens.errors import ErrorCode
from tokens.views.base import COMMON_HEADERS


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Send an error as JSON and announce the end of the connection; the arguments are gunicorn's."""
    error = {"code": ErrorCode.UNKNOWN.code, "message": reason.lower(), "detail": mesg or None}
    _write(sock, f"{status_int} {reason}", {"errors": [error]}, {})


def write_busy(sock: socket.socket) -> None:
    """Send the 503 of too many slow clients, and announce the end of the connection."""
    busy = too_many_slow_clients()
    _write(sock, f"{busy.status} Service Unavailable", busy.body(), busy.headers)


def _write(sock: socket.socket, status: str, answer: object, more: Mapping[str, str]) -> None:
    body = json.dumps(answer).encode("ascii")
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": len(body),
        **COMMON_HEADERS,
        **more,
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    write_nonblock(sock, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)
