"""Stop a run between two steps: on SIGTERM, or after a time limit."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from collector.throttle import StopError


class Stopper:
    """A flag and a time limit, checked between the steps of a run."""

    def __init__(self, max_seconds: float | None = None) -> None:
        """Stop after `max_seconds`; None means no limit."""
        self.stop_requested = threading.Event()
        self._ends_at = None if max_seconds is None else time.monotonic() + max_seconds

    def watch(self) -> None:
        """Raise StopError when it is time to stop."""
        if self.stop_requested.is_set():
            raise StopError("told to stop")
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise StopError("out of time")


@contextmanager
def stopped_by_signal(stopper: Stopper) -> Iterator[None]:
    """Let SIGTERM set the flag of `stopper` instead of killing the process in the middle of a row."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stopper.stop_requested.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
