"""Pauses between the transactions of a run, where it may also be stopped."""

import time
from collections.abc import Callable

from django.db import connection

# A SQLite writer that comes back at once starves the others. With a pause as long as the transaction, and at least
# this long, the slowest push beside a continuous collection took 1.6 s instead of 3.1 s.
SHORTEST_PAUSE_SECONDS = 0.005
# A transaction that took longer was itself waiting for other writers.
LONGEST_PAUSE_SECONDS = 0.1


class StopError(Exception):
    """The run ends here; what it did so far stays done."""


class Throttle:
    """Pauses after each step of a run, and checks whether the run has to stop."""

    def __init__(self, watch: Callable[[], None] | None = None) -> None:
        """Call `watch` after each step; it may raise StopError."""
        self._watch = watch

    def pause(self, started_at: float) -> None:
        """Let others write after a step that began at `started_at`, a monotonic time."""
        if connection.vendor == "sqlite":
            taken = time.monotonic() - started_at
            time.sleep(min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, taken)))
        self.check()

    def check(self) -> None:
        """Call `watch` without a pause: the step only read."""
        if self._watch is not None:
            self._watch()
