"""The turn of a process to write to SQLite: a lock on a file, for which the kernel wakes the next that waits.

A thread can't give up waiting for such a lock, and a process whose turn it is may have been stopped. So another thread
waits, and whoever needs the turn waits for that one no longer than it wants to.
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
    """A thread that waits for the turn, until it has it or gives up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._is_given_up = False
        self.error: OSError | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for the turn; False when it did not come."""
        if self._gate.acquire(timeout=seconds):
            return True
        with self._lock:
            # It may have come at that very moment.
            self._is_given_up = not self._gate.acquire(blocking=False)
            return not self._is_given_up

    def give(self) -> bool:
        """Let the thread go on; False when it has given up."""
        with self._lock:
            if not self._is_given_up:
                self._gate.release()
            return not self._is_given_up


class InterprocessLock:
    """The turn of this process, which one of its threads at a time asks for."""

    def __init__(self, path: str) -> None:
        """Open the file `path`, made when it is new. Raises OSError."""
        # Not the database: closing that would end SQLite's own locks on it.
        self._file = open_lock_file(path)
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        self._waiter: threading.Thread | None = None
        # The kernel gives the file's lock to the process: which thread has it, and whether any, is known here.
        self._lock = threading.Lock()
        self._is_taken = False

    @contextmanager
    def taken(self, patience_seconds: float) -> Iterator[None]:
        """Have the turn. Raises ConflictError when it does not come in time, OperationalError when none can be had."""
        self._take(patience_seconds)
        try:
            yield
        finally:
            with self._lock:
                self._is_taken = False
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, seconds: float) -> None:
        try:
            with self._lock:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._is_taken = True
        except BlockingIOError:
            self._wait(seconds)
        except OSError as error:
            raise OperationalError(f"no turn to write: {error.strerror}") from error

    def _wait(self, seconds: float) -> None:
        if self._waiter is None:
            self._waiter = self._started()
        request = _Request()
        self._requests.put(request)
        if not request.wait(seconds):
            raise ConflictError("another process writes")
        if request.error is not None:
            raise OperationalError(f"no turn to write: {request.error.strerror}") from request.error

    def _started(self) -> threading.Thread:
        waiter = threading.Thread(target=self._serve, name="turn", daemon=True)
        try:
            waiter.start()
        except RuntimeError as error:
            raise ConflictError("another process writes, and there is no thread to wait for it") from error
        return waiter

    def _serve(self) -> None:
        while True:
            request = self._requests.get()
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            except OSError as error:
                request.error = error
            with self._lock:
                if request.give():
                    self._is_taken = request.error is None
                elif not self._is_taken:
                    # Nobody wants it any more, nor has another thread taken it meanwhile.
                    fcntl.flock(self._file, fcntl.LOCK_UN)
