"""A check that may hang: it runs in its own thread, one at a time, and concurrent callers share its result."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from core.blocking import blocking_io

Result = TypeVar("Result")


class _Attempt(Generic[Result]):
    """One run of the check."""

    def __init__(self) -> None:
        self.begun_at = time.monotonic()
        self.ended_at: float | None = None
        self.result: Result | None = None
        self.has_ended = threading.Event()

    def run(self, check: Callable[[], Result]) -> None:
        try:
            self.result = check()
        finally:
            self.ended_at = time.monotonic()
            self.has_ended.set()


class SharedCheck(Generic[Result]):
    """A function that runs once at a time, however many callers need its result.

    A result stays valid for `fresh_seconds`; `late` is the result of a run that takes more than `patience_seconds`.
    """

    def __init__(
        self, check: Callable[[], Result], late: Result, patience_seconds: float, fresh_seconds: float = 0
    ) -> None:
        self._check = check
        self._late = late
        self._patience_seconds = patience_seconds
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()
        self._last: _Attempt[Result] | None = None

    def result(self) -> Result:
        """Return the fresh result of the check, or wait for it."""
        attempt = self.begin()
        with blocking_io():
            attempt.has_ended.wait(attempt.begun_at + self._patience_seconds - time.monotonic())
        return self._late if attempt.result is None else attempt.result

    def begin(self) -> _Attempt[Result]:
        """Start the check unless it is running or its last result is fresh; return that run."""
        with self._lock:
            last = self._last
            if last is None or (last.ended_at is not None and last.ended_at + self._fresh_seconds <= time.monotonic()):
                last = self._last = _Attempt()
                try:
                    threading.Thread(target=last.run, args=(self._check,), name="check", daemon=True).start()
                except RuntimeError:
                    # No thread can be started.
                    last.run(lambda: self._late)
            return last
