"""What happened in a stress run: counts, and the faults that fail it."""

import threading
from collections import Counter
from collections.abc import Iterator

FAULTS_KEPT = 20


class FaultError(AssertionError):
    """An answer that nothing explains; the round that met it ends."""


class Tally:
    """Counts by name, of all threads together."""

    def __init__(self) -> None:
        # What must not be is said even when it never was.
        self.counts = Counter(dict.fromkeys(("broken manifests", "deadlocks", "faults", "unavailable"), 0))
        self.faults: list[str] = []
        self._lock = threading.Lock()

    def add(self, name: str, number: int = 1) -> None:
        """Count `name`."""
        with self._lock:
            self.counts[name] += number

    def fail(self, what: str) -> FaultError:
        """Note a fault, and return it to be raised."""
        with self._lock:
            self.counts["faults"] += 1
            if len(self.faults) < FAULTS_KEPT:
                self.faults.append(what)
        return FaultError(what)

    def lines(self) -> Iterator[str]:
        """Say the counts by name, then the faults."""
        yield from (f"{number:>9}  {name}" for name, number in sorted(self.counts.items()))
        yield from (f"FAULT {what}" for what in self.faults)
