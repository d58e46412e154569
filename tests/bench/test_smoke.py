"""A few operations of every row, on the real servers: `make bench-smoke`. Nothing here says how fast they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import report
from bench.compare import Plan
from bench.figures import Line
from bench.peers import Ours, Peer, Reference
from bench.rows import ROWS, Row, Stock

FEW = Plan(connections=(1, 2), rounds=1, seconds=20, warm_up_seconds=0, most=3)


def stock() -> Stock:
    """Return what is read and pushed, much smaller than in a comparison."""
    return Stock(large_bytes=1 << 20, names=12)


def kept(lines: list[Line], folder: Path) -> list[Line]:
    """Return the lines as they come back from the file of results."""
    report.write(folder, report.about("smoke"), lines)
    return report.read(folder / "compare.json")[1]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        pytest.param(Ours, ROWS, id="ours"),
        pytest.param(
            Reference,
            tuple(row for row in ROWS if row.has_peer),
            id="theirs",
            marks=pytest.mark.client("docker-registry"),
        ),
    ],
)
def test_every_row_runs(kind: Callable[[Path], Peer], rows: tuple[Row, ...], tmp_path: Path) -> None:
    lines = kept(command.run(tmp_path, rows, FEW, stock(), [kind])[0], tmp_path)

    assert [error for line in lines for error in line.errors] == []
    assert [(line.row, line.connections) for line in lines] == [(row.name, n) for row in rows for n in (1, 2)]
    rounds = [(line.ours or line.theirs)[0] for line in lines]
    assert all(done.amount > 0 and done.peak_resident > 0 and done.p99_ms >= done.p50_ms > 0 for done in rounds)
