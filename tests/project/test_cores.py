"""Workers that are pinned: where that is possible, and what it looks like."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from configuration.values import Server
from core.start_error import StartError
from server import cpu_affinity
from tests.project.starting import serving

CORES = len(os.sched_getaffinity(0))


def quota(folder: Path, text: str) -> Path:
    """Return a file of the control group that says `text`."""
    file = folder / "cpu.max"
    file.write_text(text)
    return file


def test_more_workers_than_cores_are_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"there are {CORES + 1} workers and {CORES} cores"):
        cpu_affinity.check(Server(workers=CORES + 1, pin_workers=True), quota(tmp_path, "max 100000\n"))


def test_under_a_quota_workers_are_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="a CPU quota is set"):
        cpu_affinity.check(Server(workers=1, pin_workers=True), quota(tmp_path, "150000 100000\n"))


@pytest.mark.parametrize("text", ["max 100000\n", None])
def test_without_a_quota_workers_are_pinned(tmp_path: Path, text: str | None) -> None:
    cpu_affinity.check(Server(workers=1, pin_workers=True), quota(tmp_path, text) if text else tmp_path / "none")


def test_without_pinning_a_quota_is_allowed(tmp_path: Path) -> None:
    cpu_affinity.check(Server(workers=CORES + 1), quota(tmp_path, "150000 100000\n"))


@pytest.mark.parametrize(("taken", "free"), [([], 2), ([2], 3), ([2, None], 3), ([3], 2), ([2, 3], 2)])
def test_a_worker_takes_a_core_that_no_other_has(taken: list[int | None], free: int) -> None:
    assert cpu_affinity.first_free([2, 3], taken) == free


@pytest.mark.skipif(CORES < 2, reason="one core is everybody's")
def test_each_worker_of_a_server_has_a_core_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {workers: 2, pin_workers: true}\n")
    with serving(tmp_path) as running:
        # The first worker serves before the second is forked, and is forked before it is pinned.
        until(lambda: len({*pinned_to(running.process.pid)}) == 2)


def pinned_to(master: int) -> list[int]:
    """Return the core of each child of a process that has only one."""
    found = [os.sched_getaffinity(pid) for pid in children(master)]
    return [core for cores_of in found if len(cores_of) == 1 for core in cores_of]


def until(is_so: Callable[[], bool]) -> None:
    """Wait until that is so; fail when it does not come to that."""
    pause = Event()
    for _ in range(3000):
        if is_so():
            return
        pause.wait(0.01)
    pytest.fail("it never came to that")


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
