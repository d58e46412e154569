"""Which cores the workers run on: any, or each on one of its own (`server.pin_workers`).

The threads of a pinned worker do not fight over Python's lock across cores, which did a third more requests per
CPU-second. It is not the default, since two servers on one host would share cores.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from configuration.values import Server
from core.start_error import StartError

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def check(server: Server, quota: Path = _QUOTA) -> None:
    """Raise StartError when workers can't be pinned here."""
    if not server.pin_workers:
        return
    cores = len(available())
    if server.workers > cores:
        raise StartError(
            f"server.pin_workers: there are {server.workers} workers and {cores} cores; "
            "set server.workers to at most as many, or leave pin_workers out"
        )
    if has_quota(quota):
        raise StartError(
            f"server.pin_workers: a CPU quota is set ({quota}), under which a pinned worker stands still while others "
            "could go on; leave pin_workers out, or give the container whole cores (--cpuset-cpus) instead of a quota"
        )


def available() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def has_quota(quota: Path) -> bool:
    """Tell whether the control group's file `quota` limits CPU time (cgroup v2, `cpu.max`)."""
    try:
        return not quota.read_text().startswith("max")
    except OSError:
        return False


def first_free(cores: Iterable[int], taken: Iterable[int | None]) -> int:
    """Return the first of `cores` that no living worker has taken; the first when all are."""
    cores, busy = list(cores), set(taken)
    return next((core for core in cores if core not in busy), cores[0])


def pin(cores: Iterable[int]) -> None:
    """Let the calling thread run on `cores`, and what it starts: threads and processes."""
    os.sched_setaffinity(0, cores)
