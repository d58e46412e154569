"""Memory, descriptors, threads and rows while a soak goes on: what grows for ever is a leak, however slowly."""

import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

import psycopg

from bench import process_tree
from bench.memory import MEBIBYTE, master
from bench.soak.trend import Sample, lasting_growth
from bench.soak.world import World

INTERVAL_SECONDS = 5.0
# Caches fill up for minutes: of a shorter soak the figures are printed and not judged.
JUDGED_SECONDS = 20 * 60.0
# On a busy machine a sample takes its time.
SILENT_SECONDS = 60.0
TABLES = (
    "accounts_failedlogin", "accounts_knownnetwork", "distribution_blob", "distribution_link", "distribution_manifest",
    "distribution_repository",
    "distribution_segment", "distribution_tag", "distribution_upload", "django_session",
    "tokens_refreshtoken",
)  # fmt: skip
_COUNTS = [f"(SELECT count(*) FROM {table})" for table in TABLES]
# How much there is in the trash depends on how busy the clients were; nothing lies there long after its time.
OVERDUE = "trash overdue"
OVERDUE_AFTER = timedelta(minutes=3)
# What a figure may grow by in a minute, all through the second half: less than a leak of 1 MiB a minute in one process,
# more than the free room between the pieces of the heap, which goes on growing a little for a quarter of an hour.
BOUNDS = {"PSS": 1.0, "own": 0.75, "descriptors": 2.0, "threads": 1.0, "rows": 20.0}


@dataclass(slots=True)
class Series:
    """One figure, sample after sample."""

    name: str
    bound: float
    values: list[Sample] = field(default_factory=list)

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
        # By process: that of one that ended is over, its successor's begins anew.
        self.own: dict[int, Series] = {}
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
            with suppress(*process_tree.GONE, AssertionError, OSError, sqlite3.Error, psycopg.Error):
                self._take()

    def _take(self) -> None:
        at = time.monotonic() - self._started
        pids = [master(self._world.server), *self._world.server.workers()]
        figures = {
            "PSS MiB": (BOUNDS["PSS"], sum(process_tree.field(pid, "smaps_rollup", "Pss") for pid in pids) / MEBIBYTE),
            "descriptors": (BOUNDS["descriptors"], sum(entries(pid, "fd") for pid in pids)),
            "threads": (BOUNDS["threads"], sum(entries(pid, "task") for pid in pids)),
        }
        due = f"{datetime.now(UTC) - OVERDUE_AFTER:%Y-%m-%d %H:%M:%S}+00:00"
        overdue = f"(SELECT count(*) FROM distribution_trash WHERE delete_after < '{due}')"
        ((*counts,),) = self._world.server.rows(f"SELECT {', '.join([*_COUNTS, overdue])}")
        figures |= {name: (BOUNDS["rows"], count) for name, count in zip((*TABLES, OVERDUE), counts, strict=True)}
        for name, (bound, value) in figures.items():
            self.series.setdefault(name, Series(name, bound)).values.append((at, float(value)))
        self._take_own(at, pids)

    def _take_own(self, at: float, pids: list[int]) -> None:
        """Take what each process has besides files, which depends on no other process: not on how many share a page."""
        own = {}
        for position, pid in enumerate(pids):
            name = f"own MiB of worker {pid}" if position else "own MiB of the master"
            own[pid] = self.own.get(pid) or Series(name, BOUNDS["own"])
            own[pid].values.append((at, process_tree.field(pid, "smaps_rollup", "Anonymous") / MEBIBYTE))
        self.own = own

    def lines(self) -> list[str]:
        """Return a table of the means of each quarter, and of the growth a minute in the second half."""
        columns = "".join(f"{name:>10}" for name in ("first", "second", "third", "last", "a minute"))
        rows = (
            f"{series.name:<26}"
            + "".join(f"{mean:>10.0f}" for mean in self._quarters(series))
            + f"{lasting_growth(series.values, self._seconds):>10.2f}"
            for series in self._all()
        )
        return [f"{'mean of each quarter':<26}{columns}", *rows]

    @property
    def are_judged(self) -> bool:
        """Whether the soak is long enough."""
        return self._seconds >= JUDGED_SECONDS

    def faults(self) -> list[str]:
        """Return what was not flat, and what was not seen all through the second half."""
        if not self.are_judged:
            return []
        half, end = self._seconds / 2, self._seconds - SILENT_SECONDS
        seen = {series.name: (series.values[0][0], series.values[-1][0]) for series in self._all()}
        missing = [
            f"{name} was seen from {first:.0f} to {last:.0f} s only"
            for name, (first, last) in seen.items()
            if first > half or last < end
        ]
        growths = [(series, lasting_growth(series.values, self._seconds)) for series in self._all()]
        missing += [] if seen else ["no sample was taken"]
        return missing + [
            f"{series.name} grew by {growth:.2f} a minute, and may by {series.bound:g}"
            for series, growth in growths
            if growth > series.bound
        ]

    def _all(self) -> list[Series]:
        return [*self.series.values(), *self.own.values()]

    def _quarters(self, series: Series) -> Sequence[float]:
        quarter = self._seconds / 4
        return [series.mean_between(number * quarter, (number + 1) * quarter) for number in range(4)]


def entries(pid: int, folder: str) -> int:
    """Return how many entries a folder of a process has."""
    return len(list(Path(f"/proc/{pid}/{folder}").iterdir()))
