"""Memory, descriptors, threads and rows while a soak goes on: what grows for ever is a leak, however slowly."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from bench import process_tree
from bench.memory import MEBIBYTE, master
from bench.soak.world import World

INTERVAL_SECONDS = 5.0
# Nothing settles in less; before, the figures are printed and not compared.
COMPARABLE_SECONDS = 240.0
GROWTH = 1.10
TABLES = (
    "accounts_failedlogin", "accounts_knownnetwork", "distribution_blob", "distribution_link", "distribution_manifest",
    "distribution_repository",
    "distribution_segment", "distribution_tag", "distribution_trash", "distribution_upload", "django_session",
    "tokens_refreshtoken",
)  # fmt: skip
_COUNTS = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
# What was deleted lies there for a quarter of an hour: the second quarter of half an hour is still filling it.
SETTLES_LATE = {"distribution_trash"}
# What a figure may grow by besides: a level differs by so much from one minute to the next.
SLACK = {"PSS MiB": 16.0, "RSS MiB": 24.0, "descriptors": 64.0, "threads": 16.0, "rows": 300.0}


@dataclass(slots=True)
class Series:
    """One figure, sample after sample."""

    name: str
    values: list[tuple[float, float]] = field(default_factory=list)

    def mean_between(self, start: float, end: float) -> float:
        """Return the mean of the samples of that time."""
        found = [value for at, value in self.values if start <= at < end]
        return mean(found) if found else 0.0


class Samples:
    """Takes a sample of everything every few seconds, in a thread of its own."""

    def __init__(self, world: World, seconds: float) -> None:
        """Have none yet; the soak lasts `seconds` from now."""
        self._world, self._seconds, self._started = world, seconds, time.monotonic()
        self._is_over = threading.Event()
        self.series: dict[str, Series] = {}
        self._thread = threading.Thread(target=self._go_on)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._is_over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._is_over.wait(min(INTERVAL_SECONDS, self._seconds / 20)):
            # The server is away while it starts anew.
            with suppress(*process_tree.GONE, AssertionError, OSError):
                self._take()

    def _take(self) -> None:
        at = time.monotonic() - self._started
        pids = [master(self._world.server), *self._world.server.workers()]
        figures = {
            "PSS MiB": sum(process_tree.field(pid, "smaps_rollup", "Pss") for pid in pids) / MEBIBYTE,
            "RSS MiB": sum(process_tree.field(pid, "smaps_rollup", "Rss") for pid in pids) / MEBIBYTE,
            "descriptors": sum(entries(pid, "fd") for pid in pids),
            "threads": sum(entries(pid, "task") for pid in pids),
        }
        ((*counts,),) = self._world.server.rows(_COUNTS)
        figures |= dict(zip(TABLES, counts, strict=True))
        for name, value in figures.items():
            self.series.setdefault(name, Series(name)).values.append((at, float(value)))

    def lines(self) -> list[str]:
        """Return a table of the means of each quarter."""
        quarters = "".join(f"{name:>10}" for name in ("first", "second", "third", "last"))
        rows = (
            f"{series.name:<26}" + "".join(f"{mean:>10.0f}" for mean in self._quarters(series))
            for series in self.series.values()
        )
        return [f"{'mean of each quarter':<26}{quarters}", *rows]

    def faults(self) -> list[str]:
        """Return what was not flat: its mean in the last quarter is well above that in the second."""
        if self._seconds < COMPARABLE_SECONDS:
            return []
        found = []
        for series in self.series.values():
            _, second, third, last = self._quarters(series)
            before = third if series.name in SETTLES_LATE else second
            if last > before * GROWTH + SLACK.get(series.name, SLACK["rows"]):
                found.append(f"{series.name} grew from {before:.0f} to {last:.0f} in the last quarter")
        return found

    def _quarters(self, series: Series) -> Sequence[float]:
        quarter = self._seconds / 4
        return [series.mean_between(number * quarter, (number + 1) * quarter) for number in range(4)]


def entries(pid: int, folder: str) -> int:
    """Return how many entries a folder of a process has."""
    return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))
