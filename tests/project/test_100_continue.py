"""100 Continue, sent by the worker before the first read of a body."""

import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from gunicorn.config import Config

from server.access_log import request_ids
from server.connection import Connection, frozen
from server.open_connections import OpenConnections
from server.places import Waiter
from server.pool import Pool, Wait
from server.worker import Worker
from tests.project.wire import CLIENT, PEER

PATIENCE_SECONDS = 60
REQUEST = b"PUT / HTTP/1.1\r\nHost: registry\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"


class RecordingPool(Pool[Any]):
    """A pool that records that a slot was released."""

    def __init__(self) -> None:
        super().__init__(1, 10, lambda _: False)
        self.has_released = Event()

    @contextmanager
    def releases_slot(self, wait: Wait, client: str, waiter: Waiter) -> Iterator[None]:
        self.has_released.set()
        with super().releases_slot(wait, client, waiter):
            yield


class OneConnectionWorker:
    """A worker that answers the requests of one connection with their bodies."""

    def __init__(self, sock: socket.socket) -> None:
        self.pool = RecordingPool()
        settings = frozen(Config())
        self.connection = Connection(
            settings, sock, CLIENT, ("registry", 80), self.pool, peer=PEER, opened=OpenConnections(10)
        )
        self._worker: Any = Worker.__new__(Worker)
        self._worker.tpool, self._worker.wsgi, self._worker.alive = self.pool, _echo, True
        self._worker._request_ids, self._worker._log_access, self._worker._settings = request_ids(), None, settings

    def serve(self) -> None:
        """Serve the next request."""
        self._worker.handle(self.connection)


def _echo(environ: Any, start_response: Any) -> Iterable[bytes]:
    body: bytes = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return (body,)


@pytest.fixture
def one_connection() -> Iterator[tuple[OneConnectionWorker, socket.socket]]:
    """Return a worker and the socket of its client."""
    near, far = socket.socketpair()
    far.settimeout(PATIENCE_SECONDS)
    with near, far:
        yield OneConnectionWorker(near), far


def fill(sock: socket.socket) -> int:
    """Send as much as the socket takes, and return how many bytes that were."""
    size = 0
    try:
        while True:
            size += sock.send(bytes(1024), socket.MSG_DONTWAIT)
    except BlockingIOError:
        return size


def receive(sock: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes."""
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def test_a_client_that_does_not_receive_100_continue_releases_the_slot(
    one_connection: tuple[OneConnectionWorker, socket.socket],
) -> None:
    worker, client = one_connection
    client.sendall(REQUEST + b"body")
    size = fill(worker.connection.sock)
    with ThreadPoolExecutor(1) as threads:
        served = threads.submit(worker.serve)

        is_released = worker.pool.has_released.wait(PATIENCE_SECONDS)

        receive(client, size)
        served.result()
    assert is_released


def test_a_body_that_came_already_still_gets_100_continue(
    one_connection: tuple[OneConnectionWorker, socket.socket],
) -> None:
    worker, client = one_connection
    client.sendall(REQUEST + b"body")

    worker.serve()

    data = client.recv(1 << 16)
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert data.endswith(b"\r\n\r\nbody")
