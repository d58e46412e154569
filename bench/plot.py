"""Draw the results of a comparison: `python -m bench.plot`, or `make bench`. It reads bench/results/compare.json.

One bar for each row and number of connections: how many times as much ours does per CPU-second. A diamond says the
same per second, a line across the bars the budget. The axis is logarithmic, so twice and half are as far from 1.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from bench import report
from bench.figures import Line

RESULTS = Path(__file__).resolve().parent / "results" / "compare.json"
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "performance.svg"

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 820, 170, 40, 84, 36
BAR, GAP = 9, 12
COLORS = ("#9ecae1", "#4292c6", "#08519c")
MARKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


class Axis:
    """Ratios from left to right, on a logarithmic scale that holds all of them and 1."""

    def __init__(self, ratios: Iterable[float]) -> None:
        """Span the powers of two around the ratios."""
        exponents = [math.log2(ratio) for ratio in ratios if ratio > 0]
        self.low = math.floor(min([-1.0, *exponents]))
        self.high = math.ceil(max([3.0, *exponents]))

    def x(self, ratio: float) -> float:
        """Return the place of a ratio."""
        part = (math.log2(ratio) - self.low) / (self.high - self.low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def marks(self) -> list[float]:
        """Return the ratios that are written below the axis."""
        return [mark for mark in MARKS if self.low <= math.log2(mark) <= self.high]


def svg(about: dict[str, str], lines: Sequence[Line]) -> str:
    """Return the picture of the lines that compare something."""
    compared = [line for line in lines if line.is_comparable]
    axis = Axis(ratio for line in compared for ratio in (line.cpu_ratio, line.wall_ratio, line.ratio))
    body, y = [], float(TOP)
    for row, group in groupby(compared, key=lambda line: line.row):
        members = list(group)
        height = len(members) * (BAR + 1)
        body.append(_text(LEFT - 10, y + height / 2 + 4, row, "end"))
        body += [_bar(axis, line, y + index * (BAR + 1), index) for index, line in enumerate(members)]
        body.append(_rule(axis.x(members[0].ratio), y - 2, y + height + 1, "#d94801", 2))
        y += height + GAP
    connections = list(dict.fromkeys(line.connections for line in compared))
    parts = [*_heading(about, connections), *_grid(axis, y), *body]
    size = f'width="{WIDTH}" height="{y + BOTTOM:.0f}" viewBox="0 0 {WIDTH} {y + BOTTOM:.0f}"'
    font = 'font-family="sans-serif" font-size="12"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>', *parts, "</svg>"]) + "\n"


def _heading(about: dict[str, str], connections: Sequence[int]) -> list[str]:
    title = "Work per CPU-second, as a multiple of docker-registry 2.8.2 (without authentication)"
    legend, x = [], float(LEFT)
    for index, number in enumerate(connections):
        color = COLORS[index % len(COLORS)]
        legend.append(f'<rect x="{x:.0f}" y="52" width="12" height="{BAR}" fill="{color}"/>')
        legend.append(_text(x + 17, 61, f"{number} connection{'s' if number > 1 else ''}", "start"))
        x += 122
    legend += [_diamond(x + 6, 56.5), _text(x + 17, 61, "per second", "start")]
    legend += [_rule(x + 106, 50, 63, "#d94801", 2), _text(x + 114, 61, "budget", "start")]
    return [
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT // 2}" y="20" font-size="14" font-weight="bold">{title}</text>',
        _text(LEFT // 2, 38, f"{about.get('machine', '')}; {about.get('at', '')[:10]}", "start"),
        *legend,
    ]


def _grid(axis: Axis, bottom: float) -> list[str]:
    parts = []
    for mark in axis.marks():
        parts.append(_rule(axis.x(mark), TOP - 8, bottom, "#333" if mark == 1 else "#ddd", 1))
        parts.append(_text(axis.x(mark), bottom + 16, f"{mark:g}x", "middle"))
    return parts


def _bar(axis: Axis, line: Line, y: float, index: int) -> str:
    start, end = sorted((axis.x(1), axis.x(line.cpu_ratio)))
    said = escape(
        f"{line.row}, {line.connections}: {line.cpu_ratio:.2f} per CPU-second, {line.wall_ratio:.2f} per second"
    )
    bar = f'<rect x="{start:.1f}" y="{y:.1f}" width="{end - start:.1f}" height="{BAR}" fill="{COLORS[index % 3]}"/>'
    return f"<g><title>{said}</title>{bar}{_diamond(axis.x(line.wall_ratio), y + BAR / 2)}</g>"


def _diamond(x: float, y: float) -> str:
    points = f"{x - 4:.1f},{y:.1f} {x:.1f},{y - 4:.1f} {x + 4:.1f},{y:.1f} {x:.1f},{y + 4:.1f}"
    return f'<polygon points="{points}" fill="white" stroke="#333"/>'


def _rule(x: float, top: float, bottom: float, color: str, width: int) -> str:
    return f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{color}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> int:
    """Draw the kept results."""
    PICTURE.write_text(svg(*report.read(RESULTS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
