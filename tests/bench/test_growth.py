"""The large registry is made and measured, on both databases; here it is not large."""

import os
from pathlib import Path

import pytest

from bench import bulk, growth, process_tree
from bench.bulk import Size
from bench.compare import Plan
from bench.figures import Line, Round
from bench.request_plans import fault_of


def line(small: tuple[float, float], large: tuple[float, float]) -> Line:
    """Return a line where a request takes so many CPU-seconds and milliseconds on each."""
    sides = [[Round(1, 1, cpu, p50, p50, 1, 0.1)] for cpu, p50 in (large, small)]
    return Line("row", "operations", 4, 0, 0, *sides)


def test_every_request_is_answered_by_a_registry_that_was_filled(tmp_path: Path) -> None:
    few = Plan(connections=(1,), rounds=1, seconds=20, warm_up_seconds=0, most=2)

    lines, _ = growth.run(tmp_path, Size(repositories=250, manifests=600, tags=250), few)

    assert [error for found in lines for error in found.errors] == []
    assert len(lines) == 10


def test_names_sort_as_their_numbers_do() -> None:
    for name in (bulk.tag_name, bulk.repository_name):
        assert sorted(map(name, (100_000, 2, 30))) == [name(2), name(30), name(100_000)]


@pytest.mark.parametrize(
    ("large", "expected"), [((1.4, 14), True), ((0.5, 5), True), ((1.6, 10), False), ((1, 16), False)]
)
def test_neither_cpu_nor_time_of_a_request_may_grow(large: tuple[float, float], expected: bool) -> None:
    assert growth.is_flat(line((1, 10), large)) is expected


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ("SEARCH tag USING INDEX distribution_tag_once (repository_id=?)", ""),
        ("SEARCH tag USING INDEX x (id=?)\nSCAN manifest", "READS A WHOLE TABLE"),
        ("USE TEMP B-TREE FOR ORDER BY", "SORTS"),
        ("Limit\n  ->  Index Only Scan using distribution_tag_once on distribution_tag", ""),
        ("Limit\n  ->  Seq Scan on distribution_tag  (cost=0.00..2.00)", "READS A WHOLE TABLE"),
        ("Limit\n  ->  Sort  (cost=0.00..2.00)", "SORTS"),
    ],
)
def test_a_plan_that_grows_with_its_table_is_a_fault(plan: str, fault: str) -> None:
    assert fault_of(plan) == fault


def test_the_parent_of_a_process_is_found() -> None:
    assert process_tree.parent(os.getpid()) == os.getppid()
