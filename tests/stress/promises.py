"""What the registry has promised to a client, and until when the client may rely on it."""

import time
from dataclasses import dataclass, field

# Clocks of the database have milliseconds, and so has SQLite's rounding.
MARGIN_SECONDS = 0.05


@dataclass(slots=True)
class Phase:
    """Under which grace period the collectors are running, and since when under no shorter one."""

    grace_seconds: float = 0.0
    since: float = field(default_factory=time.monotonic)

    def change(self, grace_seconds: float) -> None:
        """Let promises from now on last for another grace period; 0: nothing is promised."""
        self.grace_seconds, self.since = grace_seconds, time.monotonic()


class Promises:
    """The promises that one push or pull depends on.

    What was pushed, mounted or put is there for the grace period; what was found by HEAD or GET for half of it.
    """

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._first = self._until = float("inf")

    def add(self, asked_at: float, *, is_found: bool = False) -> None:
        """Rely on an answer to what was asked at `asked_at`, in seconds of the monotonic clock."""
        grace = self._phase.grace_seconds / 2 if is_found else self._phase.grace_seconds
        self._first = min(self._first, asked_at)
        self._until = min(self._until, asked_at + grace - MARGIN_SECONDS)

    def stand(self) -> bool:
        """Tell whether there are any, and all of them still hold at this moment."""
        return self._phase.since <= self._first < float("inf") and time.monotonic() < self._until
