"""What happens between the transactions of a run: others get their turn, and somebody may watch or stop it."""

import time
from collections.abc import Callable

from django.db import connection

# On SQLite a writer that comes back at once starves the others: with a pause as long as each transaction,
# and never below this one, the longest push beside a spinning collector fell from 3.1 s to 1.6 s.
SHORTEST_PAUSE_SECONDS = 0.005
# A step that took longer had to wait itself, for writers who take turns with it anyway.
LONGEST_PAUSE_SECONDS = 0.1


class StopError(Exception):
    """The run is to end here; what it did so far is done."""


class Throttle:
    """Goes between the steps of a run, one row each."""

    def __init__(self, watch: Callable[[], None] | None = None) -> None:
        """Call `watch` after each step; it may raise StopError."""
        self._watch = watch

    def rest(self, started_at: float) -> None:
        """Make way for others after the step that began at `started_at`, in seconds of the monotonic clock."""
        if connection.vendor == "sqlite":
            taken = time.monotonic() - started_at
            time.sleep(min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, taken)))
        self.look()

    def look(self) -> None:
        """Let somebody watch after a step that only read, for which nobody had to wait."""
        if self._watch is not None:
            self._watch()
