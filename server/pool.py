"""The threads of a worker: each waits for any connection to speak, serves its request, and waits again.

So many serve at once, and one that waits for its client or the disk does not count: another takes its place. A
hundred slow pushes leave the others as many threads as before, and who waits for one thing takes no place from those
that wait for another. Waits for clients take places, which `server.places` shares among them. While all
threads serve, the clients that wait for one take turns (`server.turns`). Threads are started when they are
needed and end when they are too many. No connection is handed from thread to thread: that costs as much as a small
request.
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
from server.places import Places, Waiter
from server.turns import Turns

# How long a thread that is too many stays at hand.
SPARE_SECONDS = 10.0
# So many that have spoken meanwhile are put in the order of their turns at once.
SPOKEN_AT_ONCE = 256

logger = logging.getLogger(__name__)

_SAYS_EVICTED = Hourly()
_READABLE_ONCE = select.EPOLLIN | select.EPOLLONESHOT
# A connection that can take an answer is at once in the queue, behind all that are in it.
_NEXT_TURN = _READABLE_ONCE | select.EPOLLOUT


class Watched(Protocol):
    """Something that speaks through a file descriptor."""

    def fileno(self) -> int:
        """Return the descriptor, which stays open while the pool has it."""
        ...

    @property
    def network(self) -> str:
        """Whose turn it takes; empty for a client that can't be told from others."""
        ...

    @property
    def has_more(self) -> bool:
        """Tell whether there is more to serve that was read already, so that the descriptor does not tell of it."""
        ...

    def close(self) -> None:
        """Close the descriptor; the pool calls it when `serve` has failed, and `forget` is called from it."""
        ...


Speaker = TypeVar("Speaker", bound=Watched)


class Wait(Enum):
    """Which client a thread is lent for; each kind has places of its own."""

    TRANSFER = auto()  # one that sends or takes what it may
    STRANGER = auto()  # one that has not said yet who it is, or what it wants


class CrowdedError(OSError):
    """Too many clients keep a thread waiting already."""

    def __init__(self) -> None:
        """Say so; `errno` is EBUSY."""
        super().__init__(errno.EBUSY, "too many slow clients at once")


class Pool(Generic[Speaker]):
    """`threads` that serve, and up to `lendable` more for each `Wait` and for work, in place of those that wait."""

    def __init__(
        self,
        threads: int,
        lendable: int,
        serve: Callable[[Speaker], bool],
        at_end: Callable[[], None] = lambda: None,
        spare_seconds: float = SPARE_SECONDS,
        *,
        most: int | None = None,
    ) -> None:
        """Start nothing yet.

        `serve` is called in one thread at a time with a speaker that has spoken, and tells whether it is to be
        listened to further; `at_end` is called in each thread that ends. `most` is the share of one client in each
        kind of wait while others need places; None means a quarter.
        """
        self._threads = threads
        self._places = {wait: Places(lendable, most or max(1, lendable // 4)) for wait in Wait}
        self._work_places = lendable
        self._serve = serve
        self._at_end = at_end
        self._epoll = select.epoll()
        self._speakers: dict[int, Speaker] = {}
        self._turns: Turns[Speaker] = Turns()
        self._lock = threading.Lock()
        self._spare_seconds = spare_seconds
        self._spare = threading.Condition(self._lock)
        self._parked = self._calls = 0
        self._count = self._waiting = self._lent = 0
        # Readable at the end, to every thread.
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._end, select.EPOLLIN)

    def watch(self, speaker: Speaker) -> None:
        """Listen to `speaker` until `serve` says otherwise; when that can't be, close it and raise the reason."""
        descriptor = speaker.fileno()
        self._speakers[descriptor] = speaker
        try:
            self._epoll.register(descriptor, _READABLE_ONCE)
            with self._lock:
                self._staff()
                _check_some(self._count)
        except BaseException:
            self._abandon(speaker)
            raise

    def forget(self, speaker: Speaker) -> None:
        """Listen no longer to the speaker that the calling thread serves: its descriptor is about to be closed."""
        descriptor = speaker.fileno()
        del self._speakers[descriptor]
        self._epoll.unregister(descriptor)

    @property
    def size(self) -> int:
        """How many are listened to or served."""
        return len(self._speakers)

    def speakers(self) -> list[Speaker]:
        """Return all that are listened to or served."""
        return list(self._speakers.values())

    def lent(self, wait: Wait, waiter: Waiter) -> AbstractContextManager[None]:
        """Let another thread serve while the calling one waits for a client.

        Raises CrowdedError when there is no place, or at the end when another client was given it meanwhile.
        """
        return _Lent(self, self._places[wait], waiter)

    def take(self, places: Places, client: str, waiter: Waiter) -> None:
        """Lend the calling thread for a wait. Raises CrowdedError."""
        with self._lock:
            if not places.take(client, waiter):
                raise CrowdedError
            self._lent += 1
            self._staff()

    def leave(self, places: Places, client: str, waiter: Waiter) -> None:
        """Take the thread back. Raises CrowdedError."""
        with self._lock:
            is_evicted = not places.leave(client, waiter)
            self._lent -= 1
        if is_evicted:
            _warn_of_eviction(client)
            raise CrowdedError

    @contextmanager
    def lent_to_work(self) -> Iterator[None]:
        """Let another thread serve while the calling one waits for the disk, the database or a password's check.

        One too many waits all the same, and keeps its thread.
        """
        with self._lock:
            has_room = self._work_places > 0
            if has_room:
                self._work_places -= 1
                self._lent += 1
                self._staff()
        try:
            yield
        finally:
            if has_room:
                with self._lock:
                    self._work_places += 1
                    self._lent -= 1

    def shutdown(self, wait: bool = False) -> None:
        """Let every thread end once it is done with its speaker; gunicorn has waited for them already."""
        os.eventfd_write(self._end, 1)

    def _staff(self) -> None:
        """Start a thread when none waits and there may be one more; the lock is held."""
        if not self._waiting and self._count - self._lent < self._threads:
            if self._parked > self._calls:
                self._calls += 1
                self._count += 1
                self._waiting += 1
                self._spare.notify()
                return
            try:
                # Daemons: a stop does not wait for clients beyond gunicorn's graceful timeout.
                threading.Thread(target=self._work, name=f"requests-{self._count + 1}", daemon=True).start()
            except (RuntimeError, MemoryError):
                # The system has no thread to give: those that are there do it in their turn.
                return
            self._count += 1
            self._waiting += 1

    def _work(self) -> None:
        while (speaker := self._next()) is not None:
            self._turn(speaker)
            if self._is_surplus() and not self._is_called_back():
                break
        self._at_end()

    def _next(self) -> Speaker | None:
        """Return whom the calling thread serves, once somebody speaks; None at the end."""
        with self._lock:
            if self._turns:
                return self._taken()
        ((descriptor, _),) = self._epoll.poll(maxevents=1)
        if descriptor == self._end:
            return None
        with self._lock:
            self._add(descriptor)
            return self._taken()

    def _taken(self) -> Speaker:
        """Return whose turn it is; the lock is held."""
        self._waiting -= 1
        if not self._waiting:
            # Who else has spoken waits here, in turn. While a thread is free, it is woken by them instead.
            for descriptor, _ in self._epoll.poll(0, SPOKEN_AT_ONCE):
                self._add(descriptor)
        speaker = self._turns.take()
        self._staff()
        return speaker

    def _add(self, descriptor: int) -> None:
        if descriptor != self._end:
            speaker = self._speakers[descriptor]
            self._turns.add(speaker.network, speaker)

    def _turn(self, speaker: Speaker) -> None:
        try:
            if self._serve(speaker):
                self._epoll.modify(speaker.fileno(), _NEXT_TURN if speaker.has_more else _READABLE_ONCE)
        except BaseException:  # SystemExit too: a thread that ended by it would be missing for good
            self._abandon(speaker)
            logger.exception("a connection could not be served")

    def _abandon(self, speaker: Speaker) -> None:
        """Close a speaker that nobody listens to any more: its client would wait for ever, and its place be taken."""
        if self._speakers.get(speaker.fileno()) is speaker:
            with suppress(OSError, ValueError):
                speaker.close()

    def _is_called_back(self) -> bool:
        """Stand by for a while: a new thread has a connection to the database to make, which costs a millisecond."""
        with self._spare:
            self._parked += 1
            is_called = self._spare.wait_for(lambda: self._calls > 0, self._spare_seconds)
            self._parked -= 1
            self._calls -= is_called
            return is_called

    def _is_surplus(self) -> bool:
        """Tell whether the calling thread is one too many; in one step, or two would be where one is."""
        with self._lock:
            if self._count - self._lent > self._threads:
                self._count -= 1
                return True
            self._waiting += 1
            return False


class _Lent:
    """The calling thread, lent for a wait; a generator's context manager would cost twice as much."""

    __slots__ = ("_client", "_places", "_pool", "_waiter")

    def __init__(self, pool: Pool[Any], places: Places, waiter: Waiter) -> None:
        self._pool = pool
        self._places = places
        self._waiter = waiter
        # Who it is when it begins: that is whose place it is.
        self._client = waiter.client

    def __enter__(self) -> None:
        self._pool.take(self._places, self._client, self._waiter)

    def __exit__(self, *_error: object) -> None:
        self._pool.leave(self._places, self._client, self._waiter)


def _check_some(threads: int) -> None:
    """Raise RuntimeError when there is no thread: what waits for one would wait for ever."""
    if not threads:
        raise RuntimeError("can't start new thread")


def _warn_of_eviction(client: str) -> None:
    if _SAYS_EVICTED.is_due():
        logger.warning(
            "%s has more than its share of the slow clients that a process waits for, while others need places: its "
            "slowest transfers end for them. Raise server.max_slow_clients if it is a client of yours, or block its "
            "address",
            client,
        )
