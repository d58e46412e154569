"""Idle connections are closed, but none whose request waits for a thread."""

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


class IdleConnections:
    """Connections beyond the keepalive timeout, in a pool without threads."""

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
        """Close them as the worker's loop does."""
        Worker.murder_keepalived(self._worker)


@contextmanager
def idle_connections(number: int) -> Iterator[tuple[IdleConnections, list[socket.socket]]]:
    """Return connections and the sockets of their clients."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        far, near = [], []
        for _ in range(number):
            far.append(stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE_SECONDS)))
            near.append(stack.enter_context(listener.accept()[0]))
        yield IdleConnections(near), far


def test_a_request_that_waits_for_a_thread_is_answered() -> None:
    with idle_connections(1) as (idle, (client,)):
        client.sendall(REQUEST)
        idle.connections[0].sock.recv(1, socket.MSG_PEEK)

        idle.close_idle()

        assert next(idle.connections[0].parser).path == "/v2/"
        idle.connections[0].sock.sendall(b"answer")
        assert client.recv(100) == b"answer"


def test_the_body_of_a_request_that_waits_for_a_thread_is_read() -> None:
    with idle_connections(1) as (idle, (client,)):
        client.sendall(b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        idle.connections[0].sock.recv(1, socket.MSG_PEEK)

        idle.close_idle()

        body = next(idle.connections[0].parser).body
        client.sendall(b"body")
        assert body.read() == b"body"


def test_a_silent_connection_reads_end_of_file() -> None:
    with idle_connections(1) as (idle, _):
        idle.close_idle()

        assert idle.connections[0].reader.chunk() == b""


def test_the_pool_serves_the_end_of_file() -> None:
    heard = Event()

    def hear(_: Any) -> bool:
        heard.set()
        return False

    pool: Pool[Any] = Pool(1, 10, hear)
    with idle_connections(1) as (idle, _):
        pool.watch(idle.connections[0])

        idle.close_idle()

        assert heard.wait(PATIENCE_SECONDS)


def test_connections_idle_since_the_same_moment_are_closed_together() -> None:
    with idle_connections(2) as (idle, _):
        for connection in idle.connections:
            connection.idle_since = 0.0

        idle.close_idle()

        assert [connection.reader.chunk() for connection in idle.connections] == [b"", b""]
