"""The threads of a worker: so many serve at once, and one that waits for its client does not count.

A slow client costs a thread that sleeps in the kernel, and another takes its place; so a hundred slow pushes
leave the others as many threads as before. Threads are started when they are needed and end when they are too many.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

Task = Callable[[], None]


class CrowdedError(OSError):
    """Too many clients keep a thread waiting already."""

    def __init__(self) -> None:
        """Say so; `errno` is EBUSY."""
        super().__init__(errno.EBUSY, "too many slow clients at once")


class Pool:
    """`threads` that serve, and up to `transfers` more for those that wait for their clients."""

    def __init__(self, threads: int, transfers: int, at_end: Callable[[], None] = lambda: None) -> None:
        """Start nothing yet; `at_end` is called in each thread that ends."""
        self._threads = threads
        self._transfers = transfers
        self._at_end = at_end
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = self._idle = self._queued = self._lent = 0
        # Readable while somebody waits for a thread: who lingers over a quiet connection looks up.
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def submit(self, task: Task) -> None:
        """Have `task` done by the next free thread; it must not raise."""
        with self._lock:
            self._queued += 1
            self._tasks.put(task)
            self._staff()
            if self._queued > self._idle:
                os.eventfd_write(self.bell, 1)

    @property
    def is_wanted(self) -> bool:
        """Tell whether a thread had better finish what it does: somebody waits for one, or there are too many."""
        return self._queued > self._idle or self._count - self._lent > self._threads

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let another thread serve while the calling one waits for its client. Raises CrowdedError."""
        with self._lock:
            if self._lent >= self._transfers:
                raise CrowdedError
            self._lent += 1
            self._staff()
        try:
            yield
        finally:
            with self._lock:
                self._lent -= 1

    def shutdown(self, wait: bool = False) -> None:
        """Let every thread end after the task that it has; gunicorn has waited already."""
        with self._lock:
            for _ in range(self._count):
                self._tasks.put(None)

    def _staff(self) -> None:
        """Start a thread when a task has none and there may be one more; the lock is held."""
        if self._queued > self._idle and self._count - self._lent < self._threads:
            # Daemons: a stop does not wait for clients beyond gunicorn's graceful timeout.
            thread = threading.Thread(target=self._work, name=f"requests-{self._count + 1}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The system has no thread to give: those that are there do it in their turn.
                if not self._count:
                    raise
                return
            self._count += 1
            self._idle += 1

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._begin()
            task()
            if self._is_surplus():
                break
        self._at_end()

    def _begin(self) -> None:
        with self._lock:
            self._idle -= 1
            self._queued -= 1
            if self._queued <= self._idle:
                self._silence()

    def _is_surplus(self) -> bool:
        """Tell whether the calling thread has to end; in one step, or two would where one is too many."""
        with self._lock:
            if self._count - self._lent > self._threads:
                self._count -= 1
                return True
            self._idle += 1
            return False

    def _silence(self) -> None:
        try:
            os.eventfd_read(self.bell)
        except BlockingIOError:
            return
