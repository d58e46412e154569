"""What was answered, and why; what nothing explains is kept word for word."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOST = 0
"""In place of a status: the connection ended without an answer."""
KEPT = 50
BUSY = "the server was busy, and said when to come back"
# How long after a disturbance its connections may still be met.
SETTLE_SECONDS = 2.0
# Of the answers to honest clients, at most so many may be 503 while nothing disturbs the server.
BUSY_SHARE = 0.02


@dataclass(slots=True)
class Disturbance:
    """Something that ends connections, while it lasts; `until` is None before its end."""

    what: str
    since: float = field(default_factory=time.monotonic)
    until: float | None = None

    def overlaps(self, since: float, until: float) -> bool:
        """Tell whether an exchange from `since` to `until` may have met it."""
        return self.since <= until and (self.until is None or since <= self.until + SETTLE_SECONDS)


class Ledger:
    """Counts of all threads together."""

    def __init__(self) -> None:
        """Have seen nothing yet."""
        self.answers: Counter[str] = Counter()
        self.explained: Counter[str] = Counter()
        self.unexplained: list[str] = []
        self._disturbances: list[Disturbance] = []
        self._lock = threading.Lock()

    @contextmanager
    def disturbed(self, what: str) -> Iterator[None]:
        """Explain by `what` the connections that are lost, and the 503, during the block and shortly after."""
        disturbance = Disturbance(what)
        with self._lock:
            self._disturbances.append(disturbance)
        self.count(what)
        try:
            yield
        finally:
            disturbance.until = time.monotonic()

    def count(self, what: str, number: int = 1) -> None:
        """Count something that is no answer."""
        with self._lock:
            self.answers[what] += number

    def note(
        self,
        what: str,
        status: int,
        since: float,
        expected: Callable[[int], str | None],
        detail: str,
        *,
        may_retry: bool = False,
    ) -> None:
        """Count an answer to what was asked at `since`; one that is not 2xx needs a reason.

        `may_retry`: the answer says when to come back.
        """
        if 200 <= status < 300:
            self.count(f"{what} {status}")
            return
        reason = expected(status) or self._reason(status, since, may_retry=may_retry)
        name = f"{what} {status or 'lost'}"
        with self._lock:
            self.answers[name] += 1
            if reason:
                self.explained[f"{name}: {reason}"] += 1
        if not reason:
            self.fault(f"{name}: {detail}")

    def fault(self, what: str) -> None:
        """Note what nothing explains."""
        with self._lock:
            self.answers["unexplained"] += 1
            if len(self.unexplained) < KEPT:
                self.unexplained.append(what)

    def _reason(self, status: int, since: float, *, may_retry: bool) -> str | None:
        if status in {LOST, 502, 503}:
            now = time.monotonic()
            for disturbance in reversed(self._disturbances):
                if disturbance.overlaps(since, now):
                    return disturbance.what
        return BUSY if status == 503 and may_retry else None

    def faults(self) -> list[str]:
        """Return what nothing explains, and whether too much was refused for want of places."""
        busy = sum(number for name, number in self.explained.items() if name.endswith(BUSY))
        answered = sum(number for name, number in self.answers.items() if name.rpartition(" ")[2].isdigit())
        found = list(self.unexplained)
        if (more := self.answers["unexplained"] - len(found)) > 0:
            found.append(f"and {more} more")
        if busy > BUSY_SHARE * max(answered, 50):
            found.append(f"{busy} of {answered} answers were 503 though nothing disturbed the server")
        return found
