"""What comes in on a connection: read without keeping a thread from others, within limits of time."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gunicorn.http.unreader import SocketUnreader

from core.db.transactions import release_connection
from server.client import Client
from server.pool import CrowdedError, Pool, Wait

HEAD_SECONDS = 15.0
# The most that one read asks for.
MAX_BYTES = 1024 * 1024
MIN_BYTES_PER_SECOND = 1024
WINDOW_SECONDS = 60.0
# How long a wait for what is dropped does not notice that it is over.
STEP_MILLISECONDS = 250


class MinimumRate:
    """How fast a client sends. A byte now and then would hold a thread, and a place, for ever.

    Of a body only the time counts that the server waits for: one that is busy storing what it has does not make
    its client slow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Expect nothing yet."""
        self._clock = clock
        self._head_until: float | None = None
        self._waiting_since: float | None = None
        self._waited = 0.0
        self._received = 0

    def expect_head(self) -> None:
        """Begin to wait for the head of a request."""
        self._head_until = self._clock() + HEAD_SECONDS

    @property
    def awaits_head(self) -> bool:
        """Tell whether a head has begun that is not there yet."""
        return self._head_until is not None

    def expect_body(self) -> None:
        """Begin to count a body: the head is there."""
        self._head_until = None
        self._waited, self._received = 0.0, 0

    def expect_nothing(self) -> None:
        """Be patient again: the request is done."""
        self._head_until = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waited for the client."""
        since = self._waiting_since = self._clock()
        try:
            yield
        finally:
            self._waiting_since = None
            self._waited += self._clock() - since

    def count(self, size: int) -> None:
        """Count `size` bytes that came."""
        self._received += size

    def progress(self) -> float:
        """Return how many bytes of a body came in a second that was waited, in the first one all; none of a head."""
        if self._head_until is not None:
            return 0.0
        since = self._waiting_since
        return self._received / max(1.0, self._waited + (self._clock() - since if since is not None else 0.0))

    def is_too_slow(self) -> bool:
        """Tell whether the head is late, or WINDOW_SECONDS of waiting brought less than the least acceptable."""
        head_until = self._head_until
        if head_until is not None:
            return head_until < self._clock()
        since = self._waiting_since
        waited = self._waited + (self._clock() - since if since is not None else 0.0)
        if waited < WINDOW_SECONDS:
            return False
        is_slow = self._received < WINDOW_SECONDS * MIN_BYTES_PER_SECOND
        self._waited, self._received = 0.0, 0
        return is_slow


class Incoming(SocketUnreader):
    """The source of gunicorn's parser and of bodies: while a read waits, its thread is lent to the pool.

    A read that takes longer than the listener allows raises BlockingIOError, one too many that waits CrowdedError.
    """

    def __init__(self, sock: socket.socket, pool: Pool[Any], client: Client) -> None:
        """Read from `sock`, which blocks."""
        super().__init__(sock)
        # What was read and given back, first to last. gunicorn's own buffer is copied whole for each read.
        self._ahead: deque[memoryview] = deque()
        self._pool = pool
        self._client = client
        self._wait = Wait.STRANGER
        self._has_begun = self._is_shut = False
        self.has_ended = False
        """Whether nothing more is to be read: this server or the client has said so."""
        self._is_over: Callable[[], bool] | None = None
        self.pace = MinimumRate()
        self.request: Any = None
        """What is read from here, as far as its parser has come; a request that is malformed has no other holder."""

    def expect_head(self) -> None:
        """Wait for a request, whoever sends it."""
        self.request = None
        self._wait = Wait.STRANGER
        self._has_begun = self.is_ahead
        self.pace.expect_head()

    def expect_body(self, *, is_admitted: bool) -> None:
        """Wait for the rest of a request, which only who may send it is let send when it `is_admitted`."""
        self._wait = Wait.TRANSFER if is_admitted else Wait.STRANGER
        self.pace.expect_body()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what is there, at most `size_hint` bytes; wait only for the first one."""
        size = min(size_hint, MAX_BYTES) if size_hint and size_hint > self.mxchunk else self.mxchunk
        try:
            data: bytes = self.sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            with self._waiting():
                data = self.sock.recv(size)
        self._count(len(data))
        return data

    def chunk_into(self, view: memoryview) -> int:
        """Put what is there into `view` and return how many bytes that were, 0 at the end of the stream."""
        try:
            size = self.sock.recv_into(view, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            with self._waiting():
                size = self.sock.recv_into(view)
        self._count(size)
        return size

    def _count(self, size: int) -> None:
        """Count `size` bytes that came. Raises CrowdedError for a request that this server has cut, not its client."""
        if size:
            self._has_begun = True
            self.pace.count(size)
            return
        self.has_ended = True
        if self._is_shut and self._has_begun:
            raise CrowdedError

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Wait for the client, with neither a place among those who serve nor a connection to the database."""
        if self._is_over is not None:
            self._wait_until(self._is_over)
            yield
            return
        release_connection()
        with self._pool.lent(self._wait, self), self.pace.waiting():
            yield

    @property
    def client(self) -> str:
        """Who is waited for."""
        return self._client.name

    def progress(self) -> float:
        """Return how many bytes a second its client sends."""
        return self.pace.progress()

    def _wait_until(self, is_over: Callable[[], bool]) -> None:
        """Wait for a byte. Raises TimeoutError when it `is_over` before."""
        coming = select.poll()
        coming.register(self.sock, select.POLLIN)
        while not is_over():
            if coming.poll(STEP_MILLISECONDS):
                return
        raise TimeoutError("the client is waited for no longer")

    def evict(self) -> None:
        """Let the read that waits end; what is to be said about it can still be sent.

        No request follows: what comes later is read still, and may be the rest of a body that nobody read.
        """
        self._is_shut = self.has_ended = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    @contextmanager
    def dropping(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Let another thread serve while this one drops what nobody asked for. Raises CrowdedError.

        A read that has to wait raises TimeoutError once it `is_over`.
        """
        release_connection()
        with self._pool.lent(Wait.STRANGER, self):
            self._is_over = is_over
            try:
                yield
            finally:
                self._is_over = None

    @property
    def is_ahead(self) -> bool:
        """Tell whether more was read than was asked for."""
        return bool(self._ahead)

    def take(self, size: int) -> memoryview | bytes:
        """Return up to `size` bytes of what was read ahead, none when nothing was."""
        if not self._ahead:
            return b""
        piece = self._ahead.popleft()
        if len(piece) > size:
            self._ahead.appendleft(piece[size:])
        return piece[:size]

    def unread(self, data: Any) -> None:
        """Let the bytes `data` be what is read next."""
        if data:
            self._ahead.appendleft(memoryview(data))

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Return `size` bytes, fewer at the end of the stream; without a size what is there of a packet's length."""
        if size is None or size < 0:
            return bytes(self.take(self.mxchunk)) or self.chunk(read_ahead)
        data = bytearray()
        while (wanted := size - len(data)) > 0:
            piece = self.take(wanted) or self.chunk(max(wanted, (read_ahead or 0) - len(data)))
            if not piece:
                break
            data += piece
        self.unread(bytes(data[size:]))
        return bytes(data[:size])
