"""Buffered reads from a connection: a read that waits releases the thread's slot, and has a time limit."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gunicorn.http.unreader import SocketUnreader

from core.db.transactions import release_connection
from server.places import Client
from server.pool import CrowdedError, Pool, Wait

HEAD_SECONDS = 15.0
# The most bytes in one `recv`.
MAX_BYTES = 1024 * 1024
MIN_BYTES_PER_SECOND = 1024
WINDOW_SECONDS = 60.0
# How often a wait for discarded input checks whether it is over.
STEP_MILLISECONDS = 250


class MinimumRate:
    """The minimum rate at which a client has to send: a byte now and then must not hold a thread forever.

    For a body only the time in `waiting` counts: a server busy with storing does not make its client slow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.head_until: float | None = None
        """The deadline of the request head; None means that no head is awaited."""
        self._waiting_since: float | None = None
        self._waited = 0.0
        self._received = 0

    def expect_head(self) -> None:
        """Start the timer of a request head."""
        self.head_until = self._clock() + HEAD_SECONDS

    def expect_body(self) -> None:
        """Start to measure a body; the head is complete."""
        self.head_until = None
        self._waited, self._received = 0.0, 0

    def expect_nothing(self) -> None:
        """Stop the timer: the request is done."""
        self.head_until = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time in the block as waiting for the client."""
        since = self._waiting_since = self._clock()
        try:
            yield
        finally:
            self._waiting_since = None
            self._waited += self._clock() - since

    def count(self, size: int) -> None:
        """Count `size` received bytes."""
        self._received += size

    def progress(self) -> float:
        """Return the bytes of the body per second of waiting, at least one second; 0 for a head."""
        if self.head_until is not None:
            return 0.0
        since = self._waiting_since
        return self._received / max(1.0, self._waited + (self._clock() - since if since is not None else 0.0))

    def is_too_slow(self) -> bool:
        """Tell whether the head is late, or the last WINDOW_SECONDS of waiting were below the rate."""
        head_until = self.head_until
        if head_until is not None:
            return head_until < self._clock()
        since = self._waiting_since
        waited = self._waited + (self._clock() - since if since is not None else 0.0)
        if waited < WINDOW_SECONDS:
            return False
        is_slow = self._received < WINDOW_SECONDS * MIN_BYTES_PER_SECOND
        self._waited, self._received = 0.0, 0
        return is_slow


class Reader(SocketUnreader):
    """gunicorn's unreader over a blocking socket; a read that waits releases the thread's slot.

    Reads raise BlockingIOError after the listener's timeout, and CrowdedError if too many threads wait.
    """

    def __init__(self, sock: socket.socket, pool: Pool[Any], client: Client) -> None:
        super().__init__(sock)
        # Bytes read ahead, in order. gunicorn's own buffer is copied whole for each read.
        self._ahead: deque[memoryview] = deque()
        self._pool = pool
        self._client = client
        self._wait = Wait.UNAUTHENTICATED
        self._has_begun = self._is_shut = False
        self.received = 0
        """The bytes received by this connection."""
        self.has_ended = False
        """Whether the server or the client has shut this direction down."""
        self._is_over: Callable[[], bool] | None = None
        self.rate = MinimumRate()
        self.request: Any = None
        """The request being parsed; for a malformed one this is the only reference."""

    def expect_head(self) -> None:
        """Read a request head next."""
        self.request = None
        self._wait = Wait.UNAUTHENTICATED
        self._has_begun = self.is_ahead
        self.rate.expect_head()

    def expect_body(self, wait: Wait) -> None:
        """Read a body next; `wait` is the kind of a read that waits for the client."""
        self._wait = wait
        self.rate.expect_body()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the available bytes, at most `size_hint`; wait only for the first."""
        size = min(size_hint, MAX_BYTES) if size_hint and size_hint > self.mxchunk else self.mxchunk
        try:
            data: bytes = self.sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            with self._waiting():
                data = self.sock.recv(size)
        self._count(len(data))
        return data

    def chunk_into(self, view: memoryview) -> int:
        """Read the available bytes into `view` and return their number; 0 means end of file."""
        try:
            size = self.sock.recv_into(view, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            with self._waiting():
                size = self.sock.recv_into(view)
        self._count(size)
        return size

    def scatter_into(self, views: list[memoryview]) -> int:
        """Read the available bytes into `views`, one after the other, as `chunk_into` does."""
        try:
            size = self.sock.recvmsg_into(views, 0, socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            with self._waiting():
                size = self.sock.recvmsg_into(views)[0]
        self._count(size)
        return size

    def _count(self, size: int) -> None:
        """Count received bytes. Raises CrowdedError at end of file if `evict` caused it."""
        if size:
            self._has_begun = True
            self.received += size
            self.rate.count(size)
            return
        self.has_ended = True
        if self._is_shut and self._has_begun:
            raise CrowdedError

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Wait for the client without a slot and without a database connection."""
        if self._is_over is not None:
            coming = select.poll()
            coming.register(self.sock, select.POLLIN)
            is_readable = False
            while not is_readable:
                if self._is_over():
                    raise TimeoutError("the rest of the body did not come in time")
                is_readable = bool(coming.poll(STEP_MILLISECONDS))
            yield
            return
        release_connection()
        with self._pool.releases_slot(self._wait, self._client.name, self), self.rate.waiting():
            yield

    def progress(self) -> float:
        """Return the bytes per second that the client sends."""
        return self.rate.progress()

    def evict(self) -> None:
        """Shut the socket down for reading, so that a waiting read ends; a response can still be sent.

        Bytes that arrive later may be the rest of a body, so they are never parsed as a request.
        """
        self._is_shut = self.has_ended = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    @contextmanager
    def discarding(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Release the thread's slot while it discards input. Raises CrowdedError.

        In the block a read that waits raises TimeoutError once `is_over` returns True.
        """
        release_connection()
        with self._pool.releases_slot(Wait.UNAUTHENTICATED, self._client.name, self):
            self._is_over = is_over
            try:
                yield
            finally:
                self._is_over = None

    @property
    def is_ahead(self) -> bool:
        """Tell whether bytes were read ahead."""
        return bool(self._ahead)

    def take(self, size: int) -> memoryview | bytes:
        """Return up to `size` bytes that were read ahead."""
        if not self._ahead:
            return b""
        piece = self._ahead.popleft()
        if len(piece) > size:
            self._ahead.appendleft(piece[size:])
        return piece[:size]

    def unread(self, data: Any) -> None:
        """Push `data` back, so that it is read next."""
        if data:
            self._ahead.appendleft(memoryview(data))

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Return `size` bytes, fewer at end of file; without a size those available."""
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
