"""An interprocess lock with a timeout: flock on a file, for which the kernel wakes the next process in the queue.

flock has no timeout, and the process that has the lock may be stopped. So one thread blocks in flock for the others,
and each of those waits for that thread no longer than its own timeout.
"""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from django.db import OperationalError

from core.db.database_fault import ConflictError
from core.lock_file import open_lock_file


class _Request:
    """A thread that waits until the lock is granted or its timeout ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._granted = threading.Lock()
        self._granted.acquire()
        self._has_timed_out = False
        self.error: OSError | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for `grant`; False after `seconds`."""
        if self._granted.acquire(timeout=seconds):
            return True
        with self._lock:
            # It may have been granted at that very moment.
            self._has_timed_out = not self._granted.acquire(blocking=False)
            return not self._has_timed_out

    def grant(self) -> bool:
        """Wake the thread; False when its timeout has ended."""
        with self._lock:
            if not self._has_timed_out:
                self._granted.release()
            return not self._has_timed_out


class InterprocessLock:
    """The lock for one process, of which only one thread at a time may acquire it."""

    def __init__(self, path: str) -> None:
        """Open the file `path`, made when it is missing. Raises OSError."""
        # Not the database: closing that would end SQLite's own locks on it.
        self._file = open_lock_file(path)
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        self._waiter: threading.Thread | None = None
        # flock belongs to the process; this flag tells whether one of its threads has the lock.
        self._lock = threading.Lock()
        self._is_locked = False

    @contextmanager
    def acquired(self, patience_seconds: float) -> Iterator[None]:
        """Acquire the lock for the block.

        Raises ConflictError after `patience_seconds`, OperationalError when flock fails.
        """
        try:
            with self._lock:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._is_locked = True
        except BlockingIOError:
            self._wait(patience_seconds)
        except OSError as error:
            raise OperationalError(f"no lock to write: {error.strerror}") from error
        try:
            yield
        finally:
            with self._lock:
                self._is_locked = False
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _wait(self, seconds: float) -> None:
        if self._waiter is None:
            waiter = threading.Thread(target=self._serve, name="sqlite-lock", daemon=True)
            try:
                waiter.start()
            except RuntimeError as error:
                raise ConflictError("another process writes, and there is no thread to wait for it") from error
            self._waiter = waiter
        request = _Request()
        self._requests.put(request)
        if not request.wait(seconds):
            raise ConflictError("another process writes")
        if request.error is not None:
            raise OperationalError(f"no lock to write: {request.error.strerror}") from request.error

    def _serve(self) -> None:
        while True:
            request = self._requests.get()
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            except OSError as error:
                request.error = error
            with self._lock:
                if request.grant():
                    self._is_locked = request.error is None
                elif not self._is_locked:
                    # The request timed out, and no other thread has acquired the lock meanwhile.
                    fcntl.flock(self._file, fcntl.LOCK_UN)
