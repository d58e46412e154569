"""The worker's log filter, and the idle connections that it closes."""

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
def test_a_stalled_client_logs_no_traceback(error: Exception, is_logged: bool) -> None:
    failure = (type(error), error, None)
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, "Socket error", None, failure)

    assert NoClientFaults().filter(record) is is_logged


@pytest.mark.parametrize(
    ("message", "is_logged"),
    [("Invalid request from ip=127.0.0.1: bare LF as line terminator", False), ("Worker failed to boot.", True)],
)
def test_a_malformed_request_logs_no_warning(message: str, is_logged: bool) -> None:
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, message, None, None)

    assert NoClientFaults().filter(record) is is_logged


class FakeConnection:
    """A connection that may be idle."""

    def __init__(self, since: float | None) -> None:
        self.idle_since = since
        self.is_closed = False

    def close_idle(self) -> None:
        self.is_closed = True


def worker_with(*connections: FakeConnection, at_most: int) -> Any:
    """Return a worker that has these connections."""
    worker: Any = object.__new__(Worker)
    worker.tpool = SimpleNamespace(connections=lambda: list(connections), size=len(connections))
    worker.cfg = SimpleNamespace(keepalive=75)
    worker.worker_connections = at_most
    worker._keepalive_deadline, worker._next_idle_check = math.inf, 0.0
    return worker


def test_connections_idle_since_the_same_moment_are_closed_together() -> None:
    connections = [FakeConnection(0.0), FakeConnection(0.0)]

    worker_with(*connections, at_most=100).murder_keepalived(force=True)

    assert [connection.is_closed for connection in connections] == [True, True]


def test_a_full_worker_closes_a_quarter_of_the_idle_connections() -> None:
    now = time.monotonic()
    connections = [
        FakeConnection(now),
        FakeConnection(None),
        FakeConnection(now - 2),
        FakeConnection(now - 1),
        FakeConnection(now),
    ]

    worker_with(*connections, at_most=5).murder_keepalived()

    assert [connection.is_closed for connection in connections] == [False, False, True, False, False]


def test_a_worker_with_room_closes_no_connection_before_its_timeout() -> None:
    connections = [FakeConnection(time.monotonic()) for _ in range(8)]

    worker_with(*connections, at_most=9).murder_keepalived()

    assert not any(connection.is_closed for connection in connections)
