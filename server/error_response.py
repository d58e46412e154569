"""Responses to requests that never reach the application: JSON in place of gunicorn's HTML."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from gunicorn.util import write_nonblock

from core.api.body import too_many_slow_clients
from core.api.errors import ErrorCode
from core.api.view import COMMON_HEADERS
from server.exchange import Exchange


def write_error(exchange: Exchange, status_int: int, reason: str, mesg: str) -> None:
    """Send a JSON error and close the connection.

    It replaces gunicorn's `util.write_error`, which gets the second argument of `handle_error`: an Exchange here.
    """
    # gunicorn's own reason for 501 is that of 500.
    reason = HTTPStatus(status_int).phrase if status_int == HTTPStatus.NOT_IMPLEMENTED else reason
    error = {"code": ErrorCode.UNKNOWN.name, "message": reason.lower(), "detail": mesg or None}
    _write(exchange, status_int, reason, {"errors": [error]}, {})


def write_busy(exchange: Exchange) -> None:
    """Send the 503 for too many slow clients and close the connection."""
    busy = too_many_slow_clients()
    _write(exchange, busy.status, "Service Unavailable", busy.body(), busy.headers)


def _write(exchange: Exchange, status: int, reason: str, answer: object, more: Mapping[str, str]) -> None:
    body = json.dumps(answer).encode("ascii")
    headers = {
        "Connection": "close",
        "X-Request-Id": exchange.request_id,
        "Content-Type": "application/json",
        "Content-Length": len(body),
        **COMMON_HEADERS,
        **more,
    }
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    exchange.refusal = status
    if exchange.request is not None and exchange.request.method == "HEAD":
        body = b""
    write_nonblock(exchange.sock, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    exchange.sent = len(body)
