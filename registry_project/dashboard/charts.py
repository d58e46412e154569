"""Bar and line charts as SVG, without style or script: colours are those of the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH = 600
HEIGHT = 120


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a chart, in its units; `title` is shown by a pointer that rests on it."""

    x: float
    y: float
    width: float
    height: float
    title: str


def bars(values: Sequence[tuple[date, int]], noun: str) -> list[Bar]:
    """Return a bar for each day, from left to right; the highest is as high as the chart."""
    highest = max((value for _, value in values), default=0) or 1
    slot = WIDTH / max(1, len(values))
    return [
        Bar(
            round(number * slot + slot * 0.1, 2),
            round(HEIGHT - HEIGHT * value / highest, 2),
            round(slot * 0.8, 2),
            round(HEIGHT * value / highest, 2),
            f"{day:%Y-%m-%d}: {value} {noun}",
        )
        for number, (day, value) in enumerate(values)
    ]


def line(values: Sequence[int]) -> str:
    """Return the points of a line through the values, for `<polyline>`; the bottom of the chart is zero."""
    if len(values) < 2:
        return ""
    highest = max(values) or 1
    step = WIDTH / (len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{HEIGHT - HEIGHT * value / highest:.1f}" for number, value in enumerate(values)
    )
