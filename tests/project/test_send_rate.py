"""The minimum rate at which a client receives a response."""

import io
import math
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper

from server.access_log import request_ids
from server.connection import Connection, frozen
from server.open_connections import OpenConnections
from server.pool import Pool
from server.reader import MIN_BYTES_PER_SECOND, WINDOW_SECONDS
from server.response import RegistryResponse, SendRate
from server.worker import Worker
from tests.project.talk import PATIENCE_SECONDS, until
from tests.project.wire import CLIENT, PEER

BLOB_BYTES = 32 * 1024 * 1024
LEAST_BYTES = int(WINDOW_SECONDS * MIN_BYTES_PER_SECOND)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return the two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as far:
        far.connect(listener.getsockname())
        far.settimeout(PATIENCE_SECONDS)
        near, _ = listener.accept()
        with near:
            yield near, far


def watched(send_rate: SendRate, clock: Clock) -> None:
    """Let the loop look for the first time."""
    clock.now += 1
    assert not send_rate.is_too_slow()


def checked(taken: int, seconds: float) -> bool:
    """Tell whether a client is too slow that takes so many bytes in so many seconds."""
    clock = Clock()
    with line() as (near, far):
        send_rate = SendRate(near, PEER, clock)
        near.sendall(b"x")
        assert far.recv(1)
        with send_rate.waiting():
            watched(send_rate, clock)
            near.sendall(bytes(taken))
            assert not taken or len(far.recv(taken, socket.MSG_WAITALL)) == taken
            clock.now += seconds
            return send_rate.is_too_slow()


def test_a_client_below_the_rate_is_too_slow() -> None:
    assert checked(LEAST_BYTES - 1, WINDOW_SECONDS)


def test_a_client_that_receives_nothing_is_too_slow() -> None:
    assert checked(0, WINDOW_SECONDS)


def test_a_client_at_the_least_rate_is_accepted() -> None:
    assert not checked(LEAST_BYTES, WINDOW_SECONDS)


def test_a_client_has_the_whole_window() -> None:
    assert not checked(0, WINDOW_SECONDS - 1)


def test_bytes_of_an_earlier_window_do_not_count() -> None:
    clock = Clock()
    with line() as (near, far):
        send_rate = SendRate(near, PEER, clock)
        near.sendall(b"x")
        assert far.recv(1)
        with send_rate.waiting():
            watched(send_rate, clock)
            near.sendall(bytes(LEAST_BYTES))
            assert far.recv(LEAST_BYTES, socket.MSG_WAITALL)
            clock.now += WINDOW_SECONDS
            assert not send_rate.is_too_slow()
            clock.now += WINDOW_SECONDS

            assert send_rate.is_too_slow()


def test_the_waits_of_a_stream_are_one_window_without_the_time_between_them() -> None:
    clock = Clock()
    with line() as (near, far):
        send_rate = SendRate(near, PEER, clock)
        near.sendall(b"x")
        assert far.recv(1)
        window = send_rate.waiting()
        found = []
        for _ in range(2 * int(WINDOW_SECONDS)):
            clock.now += WINDOW_SECONDS
            with window:
                clock.now += 1
                found.append(send_rate.is_too_slow())

    assert found.index(True) >= WINDOW_SECONDS - 1


class Stream(io.BytesIO):
    """An object of a cloud, which a read beyond its end would ask again."""

    is_asked_again = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_asked_again = self.is_asked_again or self.tell() == BLOB_BYTES // 8
        return super().read(size)


def test_a_stream_ends_with_its_last_byte() -> None:
    stream = Stream(bytes(BLOB_BYTES // 8))
    sent: list[int] = []
    response = SimpleNamespace(
        _pool=SimpleNamespace(releases_slot=lambda *_: nullcontext()),
        _send_rate=SimpleNamespace(client=PEER, waiting=nullcontext, sent=0),
        _head=b"",
        sock=SimpleNamespace(sendall=lambda data: sent.append(len(data))),
        sent=0,
    )

    RegistryResponse._send_pieces(response, FileWrapper(stream, 8192), BLOB_BYTES // 8)  # type: ignore[arg-type]

    assert (sum(sent), stream.is_asked_again) == (BLOB_BYTES // 8, False)


def test_a_connection_without_a_send_is_not_too_slow() -> None:
    clock = Clock()
    with line() as (near, _):
        send_rate = SendRate(near, PEER, clock)
        with send_rate.waiting():
            near.sendall(b"x")

        clock.now += 10 * WINDOW_SECONDS

        assert not send_rate.is_too_slow()


@pytest.mark.parametrize(("seconds", "progress"), [(0, 3000), (1, 3000), (10, 300)])
def test_progress_is_the_rate_of_this_response(seconds: float, progress: float) -> None:
    clock = Clock()
    with line() as (near, far):
        send_rate = SendRate(near, PEER, clock)
        near.sendall(bytes(5000))
        send_rate.sent += 5000
        send_rate.expect_answer()
        with send_rate.waiting():
            near.sendall(bytes(3000))
            assert far.recv(8000, socket.MSG_WAITALL)
            clock.now += seconds

            # The kernel counts the byte that a connection begins with, too.
            until(lambda: abs(send_rate.progress() - progress) <= 1)


def test_a_wait_that_begins_this_moment_is_not_the_slowest() -> None:
    with line() as (near, _):
        assert SendRate(near, PEER).progress() == math.inf


def test_a_kernel_without_the_count_aborts_no_client() -> None:
    clock = Clock()
    near, far = socket.socketpair()
    with near, far:
        send_rate = SendRate(near, PEER, clock)
        with send_rate.waiting():
            watched(send_rate, clock)
            clock.now += WINDOW_SECONDS

            assert send_rate.progress() == 0
            assert not send_rate.is_too_slow()


def test_the_loop_resets_the_connection_of_a_slow_download(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(BLOB_BYTES))
    clock = Clock()

    def application(_environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(BLOB_BYTES))])
        return FileWrapper((tmp_path / "blob").open("rb"))

    worker: Any = Worker.__new__(Worker)
    worker.wsgi, worker.alive, worker.tmp = application, True, SimpleNamespace(notify=lambda: None)
    worker._request_ids, worker._log_access, worker._next_rate_check = request_ids(), None, 0.0
    worker._settings = frozen(Config())
    worker.tpool = pool = Pool(1, 10, worker.handle)
    with line() as (near, far):
        connection = Connection(
            worker._settings, near, CLIENT, ("registry", 80), pool, peer=PEER, opened=OpenConnections(10)
        )
        connection.send_rate = SendRate(near, PEER, clock)
        pool.watch(connection)
        far.sendall(b"GET / HTTP/1.1\r\nHost: registry\r\n\r\n")
        until(lambda: connection.send_rate._window is not None)

        def is_reset_after_another_window() -> bool:
            clock.now += WINDOW_SECONDS
            worker._next_rate_check = 0.0
            worker.notify()
            return not pool.connections()

        # More than two: the client's system may still be filling its receive buffer.
        until(is_reset_after_another_window)
        pool.shutdown()
        # What the client's own system has taken is there still.
        assert len(far.recv(BLOB_BYTES, socket.MSG_WAITALL)) < BLOB_BYTES
        with pytest.raises(ConnectionResetError):
            far.recv(1)
