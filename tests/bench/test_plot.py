"""The picture shows every line that compares something, and nothing else."""

from xml.etree import ElementTree

import pytest

from bench.figures import Line, Round
from bench.plot import Axis, svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def line(row: str, connections: int, ours: float, theirs: float) -> Line:
    """Return a line with one round for each side that did something."""
    sides = [[Round(amount, 1, 1, 1, 1, 1, 0.1)] if amount else [] for amount in (ours, theirs)]
    return Line(row, "operations", connections, 3.2, 0, *sides)


def titles(picture: str) -> list[str]:
    """Return what the bars say of themselves."""
    return [title.text or "" for title in ElementTree.fromstring(picture).iter(f"{NAMESPACE}title")]


def test_a_bar_stands_for_each_line_that_compares() -> None:
    lines = [line("pull", 1, 300, 100), line("pull", 4, 50, 100), line("tokens", 1, 500, 0)]

    found = titles(svg({"machine": "2 <cores>"}, lines))

    assert found == [
        "pull, 1: 3.00 per CPU-second, 3.00 per second",
        "pull, 4: 0.50 per CPU-second, 0.50 per second",
    ]


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert titles(svg({}, [])) == []


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1, 3.2, 40])
def test_every_ratio_is_inside_the_picture(ratio: float) -> None:
    axis = Axis([ratio])

    assert axis.x(2**axis.low) <= axis.x(ratio) <= axis.x(2**axis.high)


def test_twice_and_half_are_as_far_from_one() -> None:
    axis = Axis([0.5, 2])

    assert axis.x(2) - axis.x(1) == pytest.approx(axis.x(1) - axis.x(0.5))
