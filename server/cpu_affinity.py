"""CPU affinity of the workers: any core, or one core each (`server.pin_workers`).

The threads of a pinned worker do not contend for the interpreter lock across cores: a third more requests per
CPU-second. It is off by default, since two servers on one host would share the first cores.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from configuration.values import Server
from core.start_error import StartError

# The CPU time of this process's control group (cgroup v2).
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def check(server: Server, quota: Path = _QUOTA) -> None:
    """Raise StartError if workers can't be pinned on this machine."""
    if not server.pin_workers:
        return
    cores = len(available())
    if server.workers > cores:
        raise StartError(
            f"server.pin_workers: there are {server.workers} workers and {cores} cores; "
            "set server.workers to at most as many, or leave pin_workers out"
        )
    try:
        is_limited = not quota.read_text().startswith("max")
    except OSError:
        # No control groups, or those of version 1.
        is_limited = False
    if is_limited:
        raise StartError(
            f"server.pin_workers: a CPU quota is set ({quota}), which stalls a pinned worker while other "
            "cores are idle; leave pin_workers out, or give the container whole cores (--cpuset-cpus) instead"
        )


def available() -> list[int]:
    """Return the cores available to this process."""
    return sorted(os.sched_getaffinity(0))


def first_free(cores: Iterable[int], taken: Iterable[int | None]) -> int:
    """Return the first core that no running worker is pinned to, otherwise the first of all."""
    cores, busy = list(cores), set(taken)
    return next((core for core in cores if core not in busy), cores[0])
