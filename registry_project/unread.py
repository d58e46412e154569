"""What gunicorn refuses before it reaches the application: answered in the registry's form, not in HTML."""

import json
import socket

from gunicorn.util import write_nonblock

from tokens.errors import ErrorCode
from tokens.views.base import COMMON_HEADERS


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Send an error as JSON and announce the end of the connection; the arguments are gunicorn's."""
    error = {"code": ErrorCode.UNKNOWN.code, "message": reason.lower(), "detail": mesg or None}
    body = json.dumps({"errors": [error]}).encode("ascii")
    headers = {"Connection": "close", "Content-Type": "application/json", "Content-Length": len(body), **COMMON_HEADERS}
    lines = [f"HTTP/1.1 {status_int} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    write_nonblock(sock, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)
