"""What a round measured, and what the rounds of a line come to."""

from dataclasses import asdict, dataclass, field
from typing import Any

# The kernel counts the time of a process in ticks of this length.
TICK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Round:
    """One round with one registry. `amount` is operations, or MB (10^6 bytes) of bulk; memory is in bytes."""

    amount: float
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    peak_resident: int
    generator_seconds: float
    reconnects: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Operations or MB a second."""
        return self.amount / self.seconds

    @property
    def per_cpu(self) -> float:
        """Operations or MB for each second of CPU that the registry used."""
        return self.amount / max(self.cpu_seconds, TICK_SECONDS)

    @property
    def generator_share(self) -> float:
        """Part of one core that the generator used."""
        return self.generator_seconds / self.seconds


@dataclass(slots=True)
class Line:
    """One row at one number of connections: the rounds of both, and the budget."""

    row: str
    unit: str
    connections: int
    ratio: float = 0.0
    least: float = 0.0
    ours: list[Round] = field(default_factory=list)
    theirs: list[Round] = field(default_factory=list)

    @property
    def errors(self) -> dict[str, int]:
        """All errors of all rounds and how often each came."""
        found: dict[str, int] = {}
        for side, rounds in (("ours", self.ours), ("theirs", self.theirs)):
            for error, count in ((e, n) for done in rounds for e, n in done.errors.items()):
                found[f"{side}: {error}"] = found.get(f"{side}: {error}", 0) + count
        return found

    @property
    def cpu_ratio(self) -> float:
        """What ours does per CPU-second, divided by what theirs does; 0 when there is nothing to compare."""
        return best(self.ours, "per_cpu") / best(self.theirs, "per_cpu") if self.is_comparable else 0.0

    @property
    def wall_ratio(self) -> float:
        """What ours does per second, divided by what theirs does; 0 when there is nothing to compare."""
        return best(self.ours, "rate") / best(self.theirs, "rate") if self.is_comparable else 0.0

    @property
    def is_comparable(self) -> bool:
        """Whether both did something."""
        return best(self.ours, "rate") > 0 and best(self.theirs, "rate") > 0

    @property
    def verdict(self) -> str:
        """One word: failed, met, missed, or nothing where there is no budget to compare with."""
        if self.errors:
            return "FAILED"
        if self.least:
            return "met" if best(self.ours, "per_cpu") >= self.least else "MISSED"
        if not (self.ratio and self.is_comparable):
            return ""
        return "met" if self.cpu_ratio >= self.ratio else "MISSED"

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Line":
        """Return the line that `asdict` made a document of."""
        sides = {side: [Round(**done) for done in document[side]] for side in ("ours", "theirs")}
        return cls(**document | sides)

    def document(self) -> dict[str, Any]:
        """Return the line as JSON takes it."""
        return asdict(self)


def best(rounds: list[Round], figure: str) -> float:
    """Return the largest of a figure among the rounds, 0 when there were none."""
    return max((float(getattr(done, figure)) for done in rounds), default=0.0)


def fastest(rounds: list[Round]) -> Round:
    """Return the round that did the most a second."""
    return max(rounds, key=lambda done: done.rate)
