"""Connections that are ended for being quiet: whose request waits for a thread is not one of them."""

import math
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config

from server.connection import Connection, frozen
from server.open_connections import OpenConnections
from server.pool import Pool
from server.worker import Worker
from tests.project.wire import CLIENT, PEER

PATIENCE_SECONDS = 60
REQUEST = b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n"
_SETTINGS = frozen(Config())


class Crowd:
    """Connections that were quiet for too long, in a pool without a thread for any of them."""

    def __init__(self, near: list[socket.socket]) -> None:
        pool: Pool[Any] = Pool(1, 10, lambda _: False)
        opened = OpenConnections(100)
        self.connections = [
            Connection(_SETTINGS, sock, CLIENT, "registry:80", pool, peer=PEER, opened=opened) for sock in near
        ]
        cfg = SimpleNamespace(keepalive=0)
        everyone = SimpleNamespace(connections=lambda: self.connections)
        self._worker: Any = SimpleNamespace(
            tpool=everyone,
            cfg=cfg,
            nr_conns=len(near),
            worker_connections=100,
            _keepalive_deadline=math.inf,
            _next_idle_check=0.0,
        )

    def close_idle(self) -> None:
        """End those that were quiet for too long, as the worker's loop does."""
        Worker.murder_keepalived(self._worker)


@contextmanager
def crowd(number: int) -> Iterator[tuple[Crowd, list[socket.socket]]]:
    """Return connections and the sockets of their clients."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        far, near = [], []
        for _ in range(number):
            far.append(stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE_SECONDS)))
            near.append(stack.enter_context(listener.accept()[0]))
        yield Crowd(near), far


def test_a_request_that_waits_for_a_thread_is_answered() -> None:
    with crowd(1) as (quiet, (client,)):
        client.sendall(REQUEST)
        quiet.connections[0].sock.recv(1, socket.MSG_PEEK)

        quiet.close_idle()

        assert next(quiet.connections[0].parser).path == "/v2/"
        quiet.connections[0].sock.sendall(b"answer")
        assert client.recv(100) == b"answer"


def test_what_follows_a_request_that_waits_for_a_thread_is_read() -> None:
    with crowd(1) as (quiet, (client,)):
        client.sendall(b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        quiet.connections[0].sock.recv(1, socket.MSG_PEEK)

        quiet.close_idle()

        body = next(quiet.connections[0].parser).body
        client.sendall(b"body")
        assert body.read() == b"body"


def test_a_connection_that_says_nothing_is_at_its_end() -> None:
    with crowd(1) as (quiet, _):
        quiet.close_idle()

        assert quiet.connections[0].reader.chunk() == b""


def test_the_pool_hears_of_the_end() -> None:
    heard = Event()

    def hear(_: Any) -> bool:
        heard.set()
        return False

    pool: Pool[Any] = Pool(1, 10, hear)
    with crowd(1) as (quiet, _):
        pool.watch(quiet.connections[0])

        quiet.close_idle()

        assert heard.wait(PATIENCE_SECONDS)


def test_connections_that_fell_silent_at_the_same_moment_are_ended_too() -> None:
    with crowd(2) as (quiet, _):
        for connection in quiet.connections:
            connection.idle_since = 0.0

        quiet.close_idle()

        assert [connection.reader.chunk() for connection in quiet.connections] == [b"", b""]
