"""What a process and all its descendants used: CPU time and memory, from /proc."""

import os
from contextlib import suppress
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
GONE = (FileNotFoundError, ProcessLookupError)


def pids(root: int) -> list[int]:
    """Return the ids of `root` and its descendants, parents first; a process that has just ended is left out."""
    found = [root]
    for pid in found:
        # Any thread may have started a child.
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(*GONE):
                found += [int(word) for word in children.read_text().split()]
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of the tree, with that of the children that have ended."""
    ticks = 0
    for pid in pids(root):
        with suppress(*GONE):
            ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / TICKS_PER_SECOND


def parent(pid: int) -> int:
    """Return the process id of the parent."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """Return the fields behind the name of the program, which stands in brackets and may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def forget_peak(root: int) -> None:
    """Let the kernel count the largest resident set of each process anew."""
    for pid in pids(root):
        with suppress(*GONE):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_resident(root: int) -> int:
    """Return the bytes of the largest resident sets since `forget_peak`, what processes share once for each."""
    return sum(field(pid, "status", "VmHWM") for pid in pids(root))


def field(pid: int, file: str, name: str) -> int:
    """Return a field of `/proc/<pid>/<file>`, which the kernel gives in KiB, in bytes; 0 when the process is gone."""
    with suppress(*GONE):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
