"""The numbers of a process in a file: what stays, what is summed, and what a fault does."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.metrics import cells
from core.metrics.cells import MAX_CELLS, Cell, CellFile
from core.metrics.families import merged

A, B = ("a", "count"), ("b", "count")


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Count in a folder of the test's own."""
    monkeypatch.setenv(cells.FOLDER, "")
    monkeypatch.setattr(cells, "_file", None)
    cells.begin(tmp_path)
    yield tmp_path
    current = cells._file
    assert current is not None
    current.close()


def numbers(folder: Path) -> dict[tuple[str, ...], float]:
    """Return the numbers of all processes together."""
    return merged(list(cells.read(folder)))


def in_a_fork(work: object) -> None:
    """Call `work` in a fork, which then ends as a killed process does."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_what_is_added_is_read(counting: Path) -> None:
    Cell(A).add()
    Cell(A).add(2.5)
    Cell(B).set(7)

    assert numbers(counting) == {A: 3.5, B: 7}


def test_a_fork_counts_in_a_file_of_its_own_and_both_are_summed(counting: Path) -> None:
    cell = Cell(A)
    cell.add()

    in_a_fork(cell.add)

    cell.add()
    assert [is_alive for is_alive, _ in cells.read(counting)] == [True, False]
    assert numbers(counting) == {A: 3}


def test_the_next_process_counts_on_in_the_file_of_a_dead_one(counting: Path) -> None:
    for _ in range(3):
        in_a_fork(Cell(A).add)
    in_a_fork(Cell(B).add)

    assert [path.name for path in counting.iterdir()] == ["1"]
    assert numbers(counting) == {A: 3, B: 1}


def test_a_gauge_ends_with_its_process_and_the_next_one_begins_at_0(counting: Path) -> None:
    gauge = Cell(("g", cells.LIVE))
    in_a_fork(gauge.add)
    assert numbers(counting) == {("g", cells.LIVE): 0}

    Cell(A).add()

    assert numbers(counting) == {("g", cells.LIVE): 0, A: 1}


def test_the_latest_of_several_times_counts(counting: Path) -> None:
    time = Cell(("t", "latest"))
    time.set(200)

    in_a_fork(lambda: time.set(100))

    assert numbers(counting) == {("t", "latest"): 200}


def test_half_a_line_of_a_killed_process_is_no_key(counting: Path) -> None:
    in_a_fork(Cell(A).add)
    with (counting / "1").open("ab") as file:
        file.write(b'["half')
    assert numbers(counting) == {A: 1}

    Cell(B).add()

    assert numbers(counting) == {A: 1, B: 1}


def test_a_folder_that_is_gone_is_logged_once_and_fails_no_request(
    counting: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counting.rmdir()

    Cell(A).add()
    Cell(B).set(1)
    counting.mkdir()
    Cell(A).add()

    assert len(caplog.messages) == 1
    assert "missing in /metrics" in caplog.text
    assert numbers(counting) == {}


def test_keys_beyond_the_limit_count_nowhere(counting: Path) -> None:
    for number in range(MAX_CELLS + 5):
        Cell((str(number), "count")).add()
    Cell(("1", "count")).add()

    found = numbers(counting)
    assert len(found) == MAX_CELLS - 1
    assert (found["1", "count"], found["2", "count"]) == (2, 1)


def test_without_a_folder_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_file", None)

    Cell(A).add()
    Cell(A).set(1)

    assert cells.folder() is None


def test_the_space_of_a_file_is_there_before_anything_is_counted(tmp_path: Path) -> None:
    file = CellFile(tmp_path)
    file.place_of(A)

    assert (tmp_path / "1").stat().st_blocks * 512 >= 8 * MAX_CELLS
    file.close()


def test_threads_lose_no_addition(counting: Path) -> None:
    cell = Cell(A)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def count() -> None:
        for _ in range(20_000):
            cell.add()

    try:
        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert numbers(counting) == {A: 160_000}


def test_half_a_name_on_a_full_disk_leaves_the_other_numbers_readable(
    counting: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Cell(A).add()
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: whole(descriptor, data[:5], at))

    Cell(B).add()

    assert numbers(counting) == {A: 1}
    assert "this process is missing in /metrics: [Errno 28]" in caplog.text


def test_a_damaged_file_costs_only_the_numbers_of_its_process(counting: Path, caplog: pytest.LogCaptureFixture) -> None:
    (counting / "1").write_bytes(bytes(cells._BYTES) + b'["x["y"]\n')

    Cell(A).add()

    assert "this process is missing in /metrics" in caplog.text
