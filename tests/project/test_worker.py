"""What gunicorn's worker writes into the log, and which connections it ends."""

import logging
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from server.pool import CrowdedError
from server.worker import NoClientFaults, Worker


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (BlockingIOError("the client sent nothing for too long"), False),
        (TimeoutError("the client took nothing for too long"), False),
        (CrowdedError(), False),
        (OSError("no such device"), True),
        (ValueError("a bug"), True),
    ],
)
def test_a_client_that_stands_still_is_no_traceback(error: Exception, is_logged: bool) -> None:
    failure = (type(error), error, None)
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "Socket error", None, failure)

    assert NoClientFaults().filter(record) is is_logged


@pytest.mark.parametrize(
    ("message", "is_logged"),
    [("Invalid request from ip=127.0.0.1: bare LF as line terminator", False), ("Worker failed to boot.", True)],
)
def test_a_request_that_cannot_be_read_is_no_warning(message: str, is_logged: bool) -> None:
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, message, None, None)

    assert NoClientFaults().filter(record) is is_logged


class Quiet:
    """A connection that nobody serves since a moment."""

    def __init__(self, since: float | None) -> None:
        self.idle_since = since
        self.is_ended = False

    def close_idle(self) -> None:
        self.is_ended = True


def worker_with(*connections: Quiet, at_most: int) -> Any:
    """Return a worker that has these connections."""
    worker: Any = object.__new__(Worker)
    worker.tpool = SimpleNamespace(connections=lambda: list(connections), size=len(connections))
    worker.cfg = SimpleNamespace(keepalive=75)
    worker.worker_connections = at_most
    worker._keepalive_deadline, worker._next_idle_check = math.inf, 0.0
    return worker


def test_connections_that_fell_quiet_at_the_same_moment_are_ended_together() -> None:
    connections = [Quiet(0.0), Quiet(0.0)]

    worker_with(*connections, at_most=100).murder_keepalived(force=True)

    assert [connection.is_ended for connection in connections] == [True, True]


def test_a_worker_without_room_ends_the_quietest_connections() -> None:
    now = time.monotonic()
    connections = [Quiet(now), Quiet(None), Quiet(now - 2), Quiet(now - 1), Quiet(now)]

    worker_with(*connections, at_most=5).murder_keepalived()

    assert [connection.is_ended for connection in connections] == [False, False, True, False, False]


def test_a_worker_with_room_ends_nobody_before_the_time() -> None:
    connections = [Quiet(time.monotonic()) for _ in range(8)]

    worker_with(*connections, at_most=9).murder_keepalived()

    assert not any(connection.is_ended for connection in connections)
