"""The thread pool of a worker: any thread waits on one epoll, serves the request that came, and waits again.

A thread that waits for a slow client or for the disk releases its slot, and another thread takes it. So a hundred slow
pushes leave as many threads for other clients as before. The waits are bounded: `server.places` shares them among
clients. While every thread is busy, ready connections queue by client, and clients take turns. Threads start on demand
and end when idle. No connection moves between threads, since a handover costs as much as a small request.
"""

import errno
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from core.hourly import Hourly
from core.metrics.catalog import EVICTED, REFUSED, WAITING
from server.places import FairQueue, Places, Waiter

# How long a surplus thread stays parked before it ends.
SPARE_SECONDS = 10.0
# The most connections that one poll moves into the queue.
READY_AT_ONCE = 256

logger = logging.getLogger(__name__)

_WARNS_EVICTED = Hourly()
_READABLE_ONCE = select.EPOLLIN | select.EPOLLONESHOT
# A connection with a free send buffer is ready at once, so it queues behind the others.
_REQUEUE = _READABLE_ONCE | select.EPOLLOUT


class PoolConnection(Protocol):
    """A connection that the pool can watch."""

    def fileno(self) -> int:
        """Return the descriptor, which stays open while the pool watches it."""
        ...

    network: str
    """The client's network, whose turn the connection takes; empty when unknown."""

    @property
    def has_more(self) -> bool:
        """Tell whether bytes of the next request were read already: epoll does not report those."""
        ...

    def close(self) -> None:
        """Close the descriptor and call `forget`; the pool does this when `serve` raises."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=PoolConnection)


class Wait(Enum):
    """Why a thread waits for a client; each kind has places of its own."""

    TRANSFER = auto()  # an authorized client sends or receives a body
    UNAUTHENTICATED = auto()  # the client is not known yet


class CrowdedError(OSError):
    """Too many threads wait for slow clients already."""

    def __init__(self) -> None:
        super().__init__(errno.EBUSY, "too many slow clients at once")


class Pool(Generic[ConnectionT]):
    """`threads` slots, and up to `waiters` more threads for each kind of wait."""

    def __init__(
        self,
        threads: int,
        waiters: int,
        serve: Callable[[ConnectionT], bool],
        at_end: Callable[[], None] = lambda: None,
        spare_seconds: float = SPARE_SECONDS,
        *,
        most: int | None = None,
    ) -> None:
        """Create the pool without threads.

        `serve` handles a readable connection, and tells whether to watch it further; `at_end` runs in each thread that
        ends. `most` bounds one client's share of each kind of wait while others need places; None means a quarter.
        """
        self._threads = threads
        self._places = {wait: Places(waiters, most or max(1, waiters // 4)) for wait in Wait}
        self._work_places = waiters
        # Of each thread, while it waits for a client.
        self._slotless = threading.local()
        self._serve = serve
        self._at_end = at_end
        self._epoll = select.epoll()
        self._connections: dict[int, ConnectionT] = {}
        self._ready: FairQueue[ConnectionT] = FairQueue()
        self._lock = threading.Lock()
        self._spare_seconds = spare_seconds
        self._spare = threading.Condition(self._lock)
        # Parked threads, and how many of them are woken up but have not left yet.
        self._parked = self._calls = 0
        # All threads but the parked; those in epoll or about to be; those whose slot is released.
        self._count = self._waiting = self._released = 0
        # At shutdown it becomes readable for every thread.
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._end, select.EPOLLIN)

    def watch(self, connection: ConnectionT) -> None:
        """Serve `connection` whenever it is readable. If that fails, close it and raise the error."""
        descriptor = connection.fileno()
        self._connections[descriptor] = connection
        try:
            self._epoll.register(descriptor, _READABLE_ONCE)
            with self._lock:
                self._add_thread()
                has_thread = self._count > 0
        except BaseException:
            self._discard(connection)
            raise
        if not has_thread:
            self._discard(connection)
            raise RuntimeError("can't start new thread")

    def forget(self, connection: ConnectionT) -> None:
        """Stop watching the connection that the calling thread serves and is about to close."""
        descriptor = connection.fileno()
        del self._connections[descriptor]
        self._epoll.unregister(descriptor)

    @property
    def size(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def connections(self) -> list[ConnectionT]:
        """Return all open connections."""
        return list(self._connections.values())

    def releases_slot(self, wait: Wait, client: str, waiter: Waiter) -> AbstractContextManager[None]:
        """Release the calling thread's slot while it waits for `client`.

        Raises CrowdedError without a free place, or at the end if the place went to another client meanwhile.
        """
        return _ReleasedSlot(self, self._places[wait], client, waiter)

    def release_slot(self, places: Places, client: str, waiter: Waiter) -> None:
        """Let another thread serve in place of the calling one. Raises CrowdedError."""
        with self._lock:
            if not places.take(client, waiter):
                REFUSED.add()
                raise CrowdedError
            WAITING.add()
            self._released += 1
            self._add_thread()
        self._slotless.is_set = True

    def reclaim_slot(self, places: Places, client: str, waiter: Waiter) -> None:
        """End the wait. Raises CrowdedError if its place went to another client."""
        self._slotless.is_set = False
        with self._lock:
            is_evicted = not places.leave(client, waiter)
            WAITING.add(-1)
            self._released -= 1
        if not is_evicted:
            return
        EVICTED.add()
        if _WARNS_EVICTED.is_due():
            logger.warning(
                "%s has more than its share of the slow clients that a process waits for, while others need places: "
                "its slowest transfers end for them. Raise server.max_slow_clients if it is a client of yours, or "
                "block its address",
                client,
            )
        raise CrowdedError

    @contextmanager
    def releases_slot_for_work(self) -> Iterator[None]:
        """Release the calling thread's slot while it waits for the disk, the database or a password hash.

        Beyond the limit the thread keeps its slot; one that waits for a client has released it already.
        """
        with self._lock:
            has_room = self._work_places > 0 and not getattr(self._slotless, "is_set", False)
            if has_room:
                self._work_places -= 1
                self._released += 1
                self._add_thread()
        try:
            yield
        finally:
            if has_room:
                with self._lock:
                    self._work_places += 1
                    self._released -= 1

    def shutdown(self, wait: bool = False) -> None:
        """End each thread after its current request; gunicorn has waited for those already."""
        os.eventfd_write(self._end, 1)

    def _add_thread(self) -> None:
        """Start a thread, or call a parked one back, if none waits and a slot is free; needs the lock."""
        if self._waiting or self._count - self._released >= self._threads:
            return
        if self._parked > self._calls:
            self._calls += 1
            self._spare.notify()
        else:
            try:
                # Daemons: a stop does not outlast gunicorn's graceful timeout.
                threading.Thread(target=self._work, name=f"requests-{self._count + 1}", daemon=True).start()
            except (RuntimeError, MemoryError):
                # The system is out of threads: those that exist serve all connections.
                return
        self._count += 1
        self._waiting += 1

    def _work(self) -> None:
        while (connection := self._next()) is not None:
            try:
                if self._serve(connection):
                    self._epoll.modify(connection.fileno(), _REQUEUE if connection.has_more else _READABLE_ONCE)
            except BaseException:  # SystemExit too: it would end the thread, and the count would be wrong for good
                self._discard(connection)
                logger.exception("a connection could not be served")
            if self._is_surplus() and not self._is_called_back():
                break
        self._at_end()

    def _next(self) -> ConnectionT | None:
        """Wait for the next connection to serve; None means shutdown."""
        with self._lock:
            if self._ready:
                return self._pop_ready()
        ((descriptor, _),) = self._epoll.poll(maxevents=1)
        if descriptor == self._end:
            return None
        with self._lock:
            self._queue(descriptor)
            return self._pop_ready()

    def _pop_ready(self) -> ConnectionT:
        """Return the connection whose turn it is; needs the lock."""
        self._waiting -= 1
        if not self._waiting:
            # No thread is left in epoll, so queue the other ready connections here in fair order.
            for descriptor, _ in self._epoll.poll(0, READY_AT_ONCE):
                self._queue(descriptor)
        connection = self._ready.pop()
        self._add_thread()
        return connection

    def _queue(self, descriptor: int) -> None:
        if descriptor != self._end:
            connection = self._connections[descriptor]
            self._ready.push(connection.network, connection)

    def _discard(self, connection: ConnectionT) -> None:
        """Close a connection that is no longer watched, otherwise its client waits forever."""
        if self._connections.get(connection.fileno()) is connection:
            with suppress(OSError, ValueError):
                connection.close()

    def _is_called_back(self) -> bool:
        """Park the thread for a while: a new one costs a millisecond for its database connection."""
        with self._spare:
            self._parked += 1
            is_called = self._spare.wait_for(lambda: self._calls > 0, self._spare_seconds)
            self._parked -= 1
            self._calls -= is_called
            return is_called

    def _is_surplus(self) -> bool:
        """Tell whether this thread is one too many, and count it off in the same step."""
        with self._lock:
            if self._count - self._released > self._threads:
                self._count -= 1
                return True
            self._waiting += 1
            return False


class _ReleasedSlot:
    """The context of `releases_slot`; as a generator it would cost twice as much."""

    __slots__ = ("_client", "_places", "_pool", "_waiter")

    def __init__(self, pool: Pool[Any], places: Places, client: str, waiter: Waiter) -> None:
        self._pool = pool
        self._places = places
        # The client's name may change during the wait; the place is counted for the first one.
        self._client = client
        self._waiter = waiter

    def __enter__(self) -> None:
        self._pool.release_slot(self._places, self._client, self._waiter)

    def __exit__(self, *_error: object) -> None:
        self._pool.reclaim_slot(self._places, self._client, self._waiter)
