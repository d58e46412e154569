"""Non-blocking log lines on standard error: dropped when the reader is stuck.

A full pipe to docker, systemd's journal or another program blocks its writers, so a stuck reader would stop every
thread that logs. Here one line waits a second for room, and later ones not at all until there is room again; then a
line says how many are missing.
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
    """Lines of many threads to one descriptor; a line of up to 4096 bytes is atomic (POSIX, PIPE_BUF).

    The descriptor's flags are unchanged, since other processes share it.
    """

    def __init__(self, descriptor: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._descriptor = descriptor
        self._send = _non_blocking(descriptor)
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._missing = 0

    def write(self, line: str) -> None:
        """Write the line, or drop it; no request fails because of its log."""
        data = f"{line}\n".encode(errors="backslashreplace")
        try:
            rest = data if self._missing else self._unsent(data)
            if rest:
                with self._lock:
                    self._write_late(rest)
        except OSError:
            # The disk is full, or the reader has closed the pipe.
            self._missing += 1

    def _unsent(self, data: bytes) -> bytes:
        """Write as much as there is room for, and return the rest."""
        try:
            return data[self._send(data) :]
        except BlockingIOError:
            return data

    def _write_late(self, data: bytes) -> None:
        if self._missing:
            # The last line may be incomplete.
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
    """Log records to the `LineWriter`: logging's own handler would block."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stderr().write(self.format(record))
        except Exception:  # noqa: BLE001 - as in every handler: a record that can't be formatted ends no request
            self.handleError(record)


@cache
def stderr() -> LineWriter:
    """Return the writer of this process and its forks."""
    return LineWriter(2)


def _non_blocking(descriptor: int) -> Send:
    """Return a function that writes as much as there is room for, or raises BlockingIOError.

    O_NONBLOCK belongs to the open file description, which other processes share: a pipe is opened again instead.
    """
    try:
        kind = os.fstat(descriptor).st_mode
    except OSError:
        # Closed: each write fails.
        kind = 0
    if stat.S_ISREG(kind):
        return partial(os.write, descriptor)
    if stat.S_ISSOCK(kind):
        own = socket.socket(fileno=os.dup(descriptor))
        return lambda data: own.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(kind):
        # Refused when another user made the pipe.
        with suppress(OSError):
            return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK))
    return partial(_write_if_ready, descriptor)


def _write_if_ready(descriptor: int, data: bytes) -> int:
    """Write if the descriptor has room; another process may fill it in between."""
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
