"""What an import did, or would do."""

from dataclasses import dataclass
from enum import StrEnum


class Change(StrEnum):
    """What happens to a row; the value is the sign that it is printed with."""

    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"
    EDITED = "!"


@dataclass(frozen=True, slots=True)
class Step:
    """One row and what happens to it. EDITED is no step of an import: somebody changed the row since."""

    change: Change
    label: str
    note: str = ""

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"{self.change} {self.label}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The steps of an import, users first."""

    steps: tuple[Step, ...]

    def count(self, change: Change) -> int:
        """Return how many rows it happens to."""
        return sum(step.change is change for step in self.steps)

    @property
    def is_applied(self) -> bool:
        """Tell whether the database has every entry as it is in the file."""
        return all(step.change is Change.EDITED for step in self.steps)
