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
        return f"{self.change} {self.label}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The steps of an import, users first."""

    steps: tuple[Step, ...]

    @property
    def is_applied_already(self) -> bool:
        """Tell whether there was nothing to do: every entry was in the database as it is in the file."""
        return all(step.change is Change.EDITED for step in self.steps)

    def summary(self) -> str:
        """Return how much was done."""
        return f"{self._count('+')} added, {self._count('~')} changed, {self._count('-')} removed"

    def summary_to_do(self) -> str:
        """Return how much there is to do, and how many rows were edited."""
        to_do = f"{self._count('+')} to add, {self._count('~')} to change, {self._count('-')} to remove"
        return f"{to_do}; {self._count('!')} edited since"

    def _count(self, sign: str) -> int:
        return sum(step.change == sign for step in self.steps)
