"""What rounds come to: the best of each side, ratios, percentiles and verdicts."""

import json
from pathlib import Path

import pytest

from bench import report
from bench.compare import percentile
from bench.figures import Line, Round
from bench.rows import ROWS


def measured(amount: float, seconds: float, cpu_seconds: float, **errors: int) -> Round:
    """Return a round."""
    return Round(amount, seconds, cpu_seconds, 1.0, 2.0, 2**20, 0.1, 0, errors)


def line(ratio: float = 0.0, least: float = 0.0, theirs: bool = True, **errors: int) -> Line:
    """Return a line where ours does 300 a CPU-second in its best round, and theirs 100 in its own."""
    ours = [measured(200, 1, 1), measured(300, 2, 1, **errors)]
    return Line(
        "row", "operations", 4, ratio, least, ours, [measured(100, 1, 1), measured(50, 0.25, 1)] if theirs else []
    )


def test_ratios_are_of_the_best_rounds_of_each_side() -> None:
    assert line().cpu_ratio == 3
    assert line().wall_ratio == 1


def test_nothing_to_compare_with_is_no_ratio() -> None:
    assert (line(theirs=False).cpu_ratio, line(theirs=False).wall_ratio) == (0, 0)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (line(ratio=3), "met"),
        (line(ratio=3.1), "MISSED"),
        (line(least=300), "met"),
        (line(least=301, theirs=False), "MISSED"),
        (line(), ""),
        (line(ratio=3, theirs=False), ""),
        (line(ratio=3, reset=1), "FAILED"),
    ],
)
def test_a_line_is_judged_by_its_budget(found: Line, verdict: str) -> None:
    assert found.verdict == verdict


def test_the_errors_of_a_line_are_shown_below_it() -> None:
    shown = report.text_of(line(ratio=3, reset=2))

    assert "FAILED" in shown
    assert "\n    2 x ours: reset" in shown


def test_a_round_without_cpu_time_counts_as_one_tick_of_the_clock() -> None:
    assert measured(5, 1, 0).per_cpu == 500


@pytest.mark.parametrize(("percent", "expected"), [(50, 50_000), (99, 99_000), (100, 100_000), (1, 1_000)])
def test_a_percentile_is_one_of_the_latencies(percent: int, expected: float) -> None:
    assert percentile([float(second) for second in range(1, 101)], percent) == expected


def test_the_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 99) == 0


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    lines = [line(ratio=3), line(least=1, theirs=False, reset=1)]

    report.write(tmp_path, {"machine": "2 cores"}, lines)

    assert report.read(tmp_path / "compare.json") == ({"machine": "2 cores"}, lines)
    assert json.loads((tmp_path / "compare.json").read_text())["lines"][0]["row"] == "row"


def test_the_text_of_results_has_the_machine_the_table_and_the_count(tmp_path: Path) -> None:
    report.write(tmp_path, {"machine": "2 cores"}, [line(ratio=3), line(ratio=4), line(reset=1)])

    written = (tmp_path / "compare.txt").read_text()
    assert "machine: 2 cores" in written
    assert report.text_of(line(ratio=3)) in written
    assert written.endswith("budgets: 1 met, 1 missed, 1 failed\n")


def test_every_cell_stands_below_its_heading() -> None:
    _, titles = report.header().splitlines()

    assert len(report.text_of(line(ratio=3))) == len(titles)


def test_every_row_has_a_budget_and_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(bool(row.ratio) != bool(row.rate) for row in ROWS)
