"""The steps of an import."""

from collections import Counter
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
    """The steps of an import, users first.

    `replaced` describes the newest import of another file until then, `superseded` is why this file was not imported.
    """

    steps: tuple[Step, ...]
    replaced: str = ""
    superseded: str = ""

    @property
    def is_applied_already(self) -> bool:
        """Tell whether every entry is imported already."""
        return not self.replaced and all(step.change is Change.EDITED for step in self.steps)

    def summary(self, *, is_check: bool = False) -> str:
        """Return the number of steps of each kind: taken, or with `is_check` to be taken."""
        count = Counter(step.change for step in self.steps)
        added, changed, removed = count[Change.ADDED], count[Change.CHANGED], count[Change.REMOVED]
        if is_check:
            return f"{added} to add, {changed} to change, {removed} to remove; {count[Change.EDITED]} edited since"
        replaces = f"; replaces {self.replaced}" if self.replaced else ""
        return f"{added} added, {changed} changed, {removed} removed{replaces}"
