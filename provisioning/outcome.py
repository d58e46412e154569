"""The steps of an import."""

from dataclasses import dataclass
from enum import StrEnum


class Change(StrEnum):
    """The kind of a step; the value is its printed sign."""

    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"
    EDITED = "!"


@dataclass(frozen=True, slots=True)
class Step:
    """A row and its change; EDITED means a change in the admin, not by the import."""

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
        """Tell whether every entry is imported already."""
        return all(step.change is Change.EDITED for step in self.steps)

    def summary(self) -> str:
        return f"{self._count('+')} added, {self._count('~')} changed, {self._count('-')} removed"

    def summary_to_do(self) -> str:
        to_do = f"{self._count('+')} to add, {self._count('~')} to change, {self._count('-')} to remove"
        return f"{to_do}; {self._count('!')} edited since"

    def _count(self, sign: str) -> int:
        return sum(step.change == sign for step in self.steps)
