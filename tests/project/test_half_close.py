"""What is read of a connection that this server ends: neither a request nor a wait without an end."""

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
from server.pool import CrowdedError, Pool
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


class Line:
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
        self.reader.expect_body(is_admitted=True)
        return request


@pytest.fixture
def line() -> Iterator[Line]:
    """Make a connection that is quiet."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), PATIENCE_SECONDS) as client,
        listener.accept()[0] as near,
    ):
        yield Line(near, client)


@pytest.mark.parametrize("head", [LENGTH + b"hell", CHUNKED + b"64\r\nhell"], ids=["length", "chunked"])
def test_the_rest_of_an_evicted_body_is_no_request(line: Line, head: bytes) -> None:
    request = line.begin(head)
    assert request.body.read1() == b"hell"

    line.reader.evict()
    with pytest.raises(CrowdedError):
        request.body.receive_into(memoryview(bytearray(64)))
    line.arrive(SMUGGLED)

    assert request.should_close()
    assert not line.parser.discard_body(lambda: False)
    with pytest.raises(StopIteration):
        next(line.parser)


def test_no_request_follows_on_an_evicted_connection_whose_body_was_whole(line: Line) -> None:
    request = line.begin(HEAD + b"Content-Length: 4\r\n\r\nbody")
    assert request.body.read() == b"body"

    line.reader.evict()
    line.arrive(SMUGGLED)

    assert request.should_close()


def test_a_connection_that_a_thread_has_begun_to_serve_is_not_ended_for_being_quiet(line: Line) -> None:
    request = line.begin(HEAD + b"Content-Length: 4\r\n\r\n")

    assert not line.connection.close_idle()

    line.client.sendall(b"body")
    assert request.body.read() == b"body"
    assert not request.should_close()


def test_a_request_that_came_with_another_is_not_ended_for_being_quiet(line: Line) -> None:
    line.reader.unread(LENGTH)

    assert not line.connection.close_idle()


def test_a_request_that_came_as_its_quiet_connection_was_ended_is_told_to_come_back(line: Line) -> None:
    assert line.connection.close_idle()

    request = line.begin(LENGTH + b"half")

    with pytest.raises(CrowdedError):
        request.body.read()
    assert request.should_close()


def test_half_a_head_that_came_as_its_quiet_connection_was_ended_is_told_to_come_back(line: Line) -> None:
    assert line.connection.close_idle()

    with pytest.raises(CrowdedError):
        line.begin(HEAD)


def test_half_a_head_is_not_cut_from_its_answer(line: Line) -> None:
    line.reader.expect_head()
    line.connection.idle_since = None

    assert line.connection.close_to_make_room()

    line.connection.sock.sendall(b"answer")
    assert line.client.recv(100) == b"answer"


@pytest.mark.parametrize("head", [LENGTH, CHUNKED + SIZE_LINE], ids=["length", "chunked"])
def test_a_byte_now_and_then_does_not_prolong_the_dropping_of_a_body(line: Line, head: bytes) -> None:
    line.begin(head)
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        line.client.sendall(b"x")
        return asked == 5

    assert not line.parser.discard_body(is_over)
    assert asked == 5


@pytest.mark.parametrize("head", [LENGTH, CHUNKED + b"3d0900\r\n"], ids=["length", "chunked"])
def test_a_body_that_is_long_is_not_dropped_to_its_end(line: Line, head: bytes) -> None:
    line.begin(head)
    line.client.sendall(bytes(2 * DISCARDED_BODY_BYTES))

    assert not line.parser.discard_body(lambda: False)
    left = 0
    while left < DISCARDED_BODY_BYTES // 2:
        left += len(line.connection.sock.recv(1 << 20))


def test_a_body_is_dropped_up_to_the_next_request(line: Line) -> None:
    line.begin(HEAD + b"Content-Length: 10\r\n\r\nhello")
    line.client.sendall(b"world" + SMUGGLED)

    assert line.parser.discard_body(lambda: False)
    assert next(line.parser).path == "/smuggled"


def test_a_worker_that_stops_waits_for_no_body_that_it_drops(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DISCARD_SECONDS", math.inf)
    line.begin(LENGTH)
    stopping: Any = SimpleNamespace(alive=False)

    assert not Worker._discard_body(stopping, line.connection)


def test_a_body_is_dropped_for_so_long(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "DISCARD_SECONDS", 0.0)
    line.begin(LENGTH)
    serving: Any = SimpleNamespace(alive=True)

    assert not Worker._discard_body(serving, line.connection)
