"""The result of a check."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `remedy` is what to do, empty when nothing is wrong."""

    check: str
    observation: str
    remedy: str = ""

    @property
    def is_fault(self) -> bool:
        return bool(self.remedy)


class UnusableError(Exception):
    """A fault after which no further check makes sense; its finding is the argument."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.observation)
        self.finding = finding
