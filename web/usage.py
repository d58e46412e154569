"""How often a repository was pulled and pushed, day by day, as a picture."""

from dataclasses import dataclass
from datetime import date

from core.sizes import counted
from distribution.usage import daily

DAYS = 30
# Of the picture, in its own units.
BAR, GAP, HEIGHT = 8, 2, 48


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: pushes stand on pulls. Heights of a day that was used are at least one unit."""

    day: date
    pulls: int
    pushes: int
    x: int
    pulls_y: int
    pulls_height: int
    pushes_y: int
    pushes_height: int

    @property
    def title(self) -> str:
        return f"{self.day:%Y-%m-%d}: {counted(self.pulls, 'pull')}, {_pushes(self.pushes)}"


@dataclass(frozen=True, slots=True)
class Usage:
    """The last DAYS days, the oldest first."""

    bars: list[Bar]
    pulls: int
    pushes: int
    width: int = DAYS * (BAR + GAP)
    height: int = HEIGHT
    bar: int = BAR

    @property
    def title(self) -> str:
        return f"{counted(self.pulls, 'pull')} and {_pushes(self.pushes)} in {DAYS} days"


def _pushes(number: int) -> str:
    return "1 push" if number == 1 else f"{number} pushes"


def usage_of(name: str) -> Usage:
    """Return the usage of a repository until today, in UTC."""
    days = daily.days(DAYS, name)
    most = max(1, *(day.pulls + day.pushes for day in days))
    bars = [_bar(*day, place, most) for place, day in enumerate(days)]
    return Usage(bars, sum(day.pulls for day in days), sum(day.pushes for day in days))


def _bar(day: date, pulls: int, pushes: int, place: int, most: int) -> Bar:
    low, high = (max(round(HEIGHT * number / most), 1) if number else 0 for number in (pulls, pushes))
    low = min(low, HEIGHT - high)
    return Bar(day, pulls, pushes, place * (BAR + GAP), HEIGHT - low, low, HEIGHT - low - high, high)
