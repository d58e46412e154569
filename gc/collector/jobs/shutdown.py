"""End a run in good order when the process is told to stop."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from collector.throttle import StopError


class Stopper:
    """Knows whether and when the run is to end."""

    def __init__(self, max_seconds: float | None = None) -> None:
        """End after `max_seconds`, None: whenever told to."""
        self.is_told = threading.Event()
        self._ends_at = None if max_seconds is None else time.monotonic() + max_seconds

    def watch(self) -> None:
        """Raise StopError when it is time to end."""
        if self.is_told.is_set():
            raise StopError("told to stop")
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise StopError("out of time")


@contextmanager
def stopped_by_signal(stopper: Stopper) -> Iterator[None]:
    """Let SIGTERM tell the stopper instead of killing the process in the middle of its row."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(*_: object) -> None:
        stopper.is_told.set()

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
