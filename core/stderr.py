"""Standard error for log lines: written at once, and dropped when nobody reads them.

A pipe to docker, to systemd's journal or to another program makes its writer wait once it is full, and a reader that
stands still would stop every thread that has something to log. So one line waits a second for room, and those after
it not at all until there is some again; then a line says how many are missing.
"""

import logging
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial

from core.json_log import JsonFormatter

PATIENCE_SECONDS = 1.0

Send = Callable[[bytes], int]


class LineWriter:
    """Lines for one descriptor, from many threads; one of up to 4096 bytes goes out whole (POSIX, PIPE_BUF)."""

    def __init__(self, descriptor: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Write to `descriptor`, whose flags stay as they are: other processes have it too."""
        self._descriptor = descriptor
        self._send = _non_blocking(descriptor)
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._missing = 0

    def write(self, line: str) -> None:
        """Write the line, or drop it; no request fails for its log."""
        data = f"{line}\n".encode(errors="backslashreplace")
        try:
            rest = data if self._missing else self._unsent(data)
            if rest:
                with self._lock:
                    self._write_late(rest)
        except OSError:
            # The disk is full, or the reader gone.
            self._missing += 1

    def _unsent(self, data: bytes) -> bytes:
        """Write what there is room for, and return the rest."""
        try:
            return data[self._send(data) :]
        except BlockingIOError:
            return data

    def _write_late(self, data: bytes) -> None:
        if self._missing:
            # The last line may have been cut in its middle.
            if self._unsent(b"\n" + _notice(self._missing) + b"\n" + data):
                self._missing += 1
            else:
                self._missing = 0
            return
        until = time.monotonic() + self._patience_seconds
        while data and (left := until - time.monotonic()) > 0:
            select.select([], [self._descriptor], [], left)
            data = self._unsent(data)
        if data:
            self._missing = 1


class StderrHandler(logging.Handler):
    """Records of the logging framework, by the same writer: its own handler waits for ever."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        try:
            stderr().write(self.format(record))
        except Exception:  # noqa: BLE001 - as each handler: what can't be formatted is told, and ends nothing
            self.handleError(record)


@cache
def stderr() -> LineWriter:
    """Return the writer of this process, and of those that are forked from it."""
    return LineWriter(2)


def _non_blocking(descriptor: int) -> Send:
    """Return what writes as much as there is room for, or raises BlockingIOError.

    O_NONBLOCK belongs to the open file, and so to every process that has it: a pipe is opened once more instead.
    """
    kind = _kind(descriptor)
    if stat.S_ISREG(kind):
        return partial(os.write, descriptor)
    if stat.S_ISSOCK(kind):
        own = socket.socket(fileno=os.dup(descriptor))
        return lambda data: own.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(kind):
        # Refused where the pipe is another user's.
        with suppress(OSError):
            return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK))
    return partial(_write_if_ready, descriptor)


def _kind(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_mode
    except OSError:
        # Closed: each write says so.
        return 0


def _write_if_ready(descriptor: int, data: bytes) -> int:
    """Write, unless the descriptor has no room; another process may take it in between."""
    if not select.select([], [descriptor], [], 0)[1]:
        raise BlockingIOError
    return os.write(descriptor, data)


def _notice(missing: int) -> bytes:
    record = logging.makeLogRecord(
        {
            "name": __name__,
            "levelname": "WARNING",
            "msg": "log lines are missing here: standard error was not read, or its disk is full",
            "lines": missing,
        }
    )
    return JsonFormatter().format(record).encode()
