"""Pipelined requests: order and fairness."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.clients.server import started
from tests.project.talk import SmallServer, Talk

REQUEST_BYTES = 64
BLOCK = 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """Run a server with few threads for the tests of this file."""
    small = SmallServer(tmp_path_factory.mktemp("small"))
    with started(small):
        yield small


def request(size: int) -> bytes:
    """Return a request of so many bytes."""
    head = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Pad: "
    return head + b"x" * (size - len(head) - 4) + b"\r\n\r\n"


@contextmanager
def endless(server: SmallServer) -> Iterator[None]:
    """Send requests, and read what is answered, for as long as the block lasts."""
    is_answered = threading.Event()

    def send() -> None:
        # Each block ends within a request, and so does what a server reads of it: 64 divides its sizes.
        block = request(REQUEST_BYTES) * BLOCK
        with suppress(OSError):
            talk.sock.sendall(request(REQUEST_BYTES + 1) + block[:20])
            while True:
                talk.sock.sendall(block[20:] + block[:20])

    def read() -> None:
        with suppress(OSError):
            while talk.sock.recv(1 << 16):
                is_answered.set()

    with Talk(server) as talk, ExitStack() as stack:
        threads = [threading.Thread(target=target) for target in (send, read)]
        for thread in threads:
            stack.callback(thread.join)
            thread.start()
        stack.callback(talk.sock.shutdown, socket.SHUT_RDWR)
        assert is_answered.wait(60)
        yield


def test_clients_that_never_stop_asking_leave_others_their_turn(server: SmallServer) -> None:
    with ExitStack() as stack:
        for _ in range(server.threads):
            stack.enter_context(endless(server))

        with Talk(server) as talk:
            assert talk.ask("GET", "/v2/").status == 401


def test_every_request_is_answered_in_its_order(server: SmallServer) -> None:
    with Talk(server) as talk:
        talk.sock.sendall((talk.head("GET", "/v2/") + talk.head("GET", "/health")) * 200)

        assert [talk.answer().status for _ in range(400)] == [401, 200] * 200
