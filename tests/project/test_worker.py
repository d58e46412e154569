"""What gunicorn's worker writes into the log, and whom it does not wait for."""

import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from registry_project.worker import NoClientFaults, Patience


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [
        (BlockingIOError("the client sent nothing for too long"), False),
        (TimeoutError("the client took nothing for too long"), False),
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


@pytest.fixture
def conn() -> Iterator[Any]:
    """Return a connection whose client is silent, as far as the worker looks at it; a read of it never waits."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    # Hashed by identity, as gunicorn's connections are.
    yield type("Connection", (SimpleNamespace,), {"__hash__": object.__hash__})(sock=ours)
    ours.close()
    theirs.close()


def test_a_client_that_takes_too_long_for_its_head_meets_the_end(conn: Any) -> None:
    patience = Patience(seconds=-1)
    patience.begin(conn)

    patience.enforce()

    assert conn.sock.recv(1) == b""


def test_a_client_has_its_time(conn: Any) -> None:
    patience = Patience(seconds=60)
    patience.begin(conn)

    patience.enforce()

    with pytest.raises(BlockingIOError):
        conn.sock.recv(1)


def test_a_client_whose_head_is_there_is_not_waited_for_any_more(conn: Any) -> None:
    patience = Patience(seconds=-1)
    patience.begin(conn)
    patience.end(conn)

    patience.enforce()

    with pytest.raises(BlockingIOError):
        conn.sock.recv(1)
