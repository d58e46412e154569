"""Structured logging: each record is one line with a JSON object."""

import json
import logging
import threading
import time
from functools import lru_cache
from typing import Protocol

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request", "status_code"}

# `json.dumps` would make an encoder for each record.
_encode = json.JSONEncoder(default=str).encode
_thread = threading.local()


class Served(Protocol):
    """The request that a thread serves."""

    @property
    def request_id(self) -> str:
        """The id in the access log and in the response."""
        ...


def log_for(served: Served | None) -> None:
    """Add the id of this request to each record of the calling thread, until the next call."""
    _thread.served = served


class ClientFaults(logging.Filter):
    """Log requests that Django refuses as warnings, without a traceback, with which any client could fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


class JsonFormatter(logging.Formatter):
    """Render a record as `{"at", "level", "logger", "message", …}` with the keys of `extra`, and the request's id.

    JSON escapes control characters, so no value from a request can forge a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        second, milliseconds = divmod(int(record.created * 1000), 1000)
        event: dict[str, object] = {
            "at": f"{_iso(second)}.{milliseconds:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        served: Served | None = getattr(_thread, "served", None)
        if served is not None:
            event["request"] = served.request_id
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return _encode(event)


@lru_cache(maxsize=2)
def _iso(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
