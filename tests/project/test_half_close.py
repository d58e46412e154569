"""Reads from a connection that this server has shut down: no smuggled request, and no endless wait."""

import math
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from server import worker
from server.connection import DISCARDED_BODY_BYTES, Connection, frozen
from server.open_connections import OpenConnections
from server.pool import CrowdedError, Pool, Wait
from server.worker import Worker
from tests.project.talk import PATIENCE_SECONDS
from tests.project.wire import CLIENT, PEER

_SETTINGS = frozen(Config())
HEAD = b"PATCH /upload HTTP/1.1\r\nHost: x\r\n"
LENGTH = HEAD + b"Content-Length: 4000000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# A byte behind it is no chunk yet.
SIZE_LINE = b"5;"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


class ServedConnection:
    """A connection and the socket of its client."""

    def __init__(self, near: socket.socket, client: socket.socket) -> None:
        self.client = client
        pool: Pool[Any] = Pool(1, 10, lambda _: False)
        self.connection = Connection(
            _SETTINGS, near, CLIENT, "registry:80", pool, peer=PEER, opened=OpenConnections(100)
        )
        self.parser: Any = self.connection.parser
        self.reader = self.connection.reader

    def arrive(self, data: bytes) -> None:
        """Send `data` and return once the server could read some."""
        self.client.sendall(data)
        self.connection.sock.recv(1, socket.MSG_PEEK)

    def begin(self, data: bytes) -> Any:
        """Send the beginning of a request, and return it as it is served."""
        self.arrive(data)
        self.connection.begin()
        self.reader.expect_head()
        request = next(self.parser)
        self.reader.expect_body(Wait.TRANSFER)
        return request


@pytest.fixture
def served() -> Iterator[ServedConnection]:
    """Make an idle connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), PATIENCE_SECONDS) as client,
        listener.accept()[0] as near,
    ):
        yield ServedConnection(near, client)


@pytest.mark.parametrize("head", [LENGTH + b"hell", CHUNKED + b"64\r\nhell"], ids=["length", "chunked"])
def test_the_rest_of_an_evicted_body_is_no_request(served: ServedConnection, head: bytes) -> None:
    request = served.begin(head)
    assert request.body.read1() == b"hell"

    served.reader.evict()
    with pytest.raises(CrowdedError):
        request.body.receive_into(memoryview(bytearray(64)))
    served.arrive(SMUGGLED)

    assert request.should_close()
    assert not served.parser.discard_body(lambda: False)
    with pytest.raises(StopIteration):
        next(served.parser)


def test_no_request_follows_on_an_evicted_connection_whose_body_was_whole(served: ServedConnection) -> None:
    request = served.begin(HEAD + b"Content-Length: 4\r\n\r\nbody")
    assert request.body.read() == b"body"

    served.reader.evict()
    served.arrive(SMUGGLED)

    assert request.should_close()


def test_a_connection_being_served_is_not_closed_as_idle(served: ServedConnection) -> None:
    request = served.begin(HEAD + b"Content-Length: 4\r\n\r\n")

    assert not served.connection.close_idle()

    served.client.sendall(b"body")
    assert request.body.read() == b"body"
    assert not request.should_close()


def test_a_pipelined_request_is_not_closed_as_idle(served: ServedConnection) -> None:
    served.reader.unread(LENGTH)

    assert not served.connection.close_idle()


def test_a_request_that_came_as_its_idle_connection_was_closed_gets_a_503(served: ServedConnection) -> None:
    assert served.connection.close_idle()

    request = served.begin(LENGTH + b"half")

    with pytest.raises(CrowdedError):
        request.body.read()
    assert request.should_close()


def test_half_a_head_that_came_as_its_idle_connection_was_closed_gets_a_503(served: ServedConnection) -> None:
    assert served.connection.close_idle()

    with pytest.raises(CrowdedError):
        served.begin(HEAD)


def test_half_a_head_still_gets_a_response(served: ServedConnection) -> None:
    served.reader.expect_head()
    served.connection.idle_since = None

    assert served.connection.close_to_make_room()

    served.connection.sock.sendall(b"answer")
    assert served.client.recv(100) == b"answer"


@pytest.mark.parametrize("head", [LENGTH, CHUNKED + SIZE_LINE], ids=["length", "chunked"])
def test_a_trickle_does_not_prolong_the_discarding_of_a_body(served: ServedConnection, head: bytes) -> None:
    served.begin(head)
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        served.client.sendall(b"x")
        return asked == 5

    assert not served.parser.discard_body(is_over)
    assert asked == 5


@pytest.mark.parametrize("head", [LENGTH, CHUNKED + b"3d0900\r\n"], ids=["length", "chunked"])
def test_a_long_body_is_not_discarded_to_its_end(served: ServedConnection, head: bytes) -> None:
    served.begin(head)
    served.client.sendall(bytes(2 * DISCARDED_BODY_BYTES))

    assert not served.parser.discard_body(lambda: False)
    left = 0
    while left < DISCARDED_BODY_BYTES // 2:
        left += len(served.connection.sock.recv(1 << 20))


def test_a_body_is_discarded_up_to_the_next_request(served: ServedConnection) -> None:
    served.begin(HEAD + b"Content-Length: 10\r\n\r\nhello")
    served.client.sendall(b"world" + SMUGGLED)

    assert served.parser.discard_body(lambda: False)
    assert next(served.parser).path == "/smuggled"


def test_a_stopping_worker_does_not_wait_to_discard_a_body(
    served: ServedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DISCARD_SECONDS", math.inf)
    served.begin(LENGTH)
    stopping: Any = SimpleNamespace(alive=False)

    assert not Worker._discard_body(stopping, served.connection)


def test_the_discarding_of_a_body_has_a_time_limit(served: ServedConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DISCARD_SECONDS", 0.0)
    served.begin(LENGTH)
    serving: Any = SimpleNamespace(alive=True)

    assert not Worker._discard_body(serving, served.connection)
