"""Ask for a manifest while others push small images: `python -m bench.reads_beside_pushes`.

A server of its own (a temporary folder, loopback, the settings that it ships with; SQLite, or the database that
REGISTRY_DATABASE_URL names) is pushed to over 32 connections, each of which pushes one small image after the other.
Meanwhile four others ask for one manifest by its tag, each with a pause after every answer. The same is measured
before, without pushes. With a grace period of one second about two reads a second have to write, too: they touch the
row that they find.

Exit status 1: something failed, or p99 of the reads beside the pushes is above 20 ms.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from bench import prepare, report
from bench.compare import percentile
from bench.load import Begin, Load, Run
from bench.peers import AsShipped, Ours
from bench.request import Operation
from bench.rows import ROWS, Stock
from bench.target import Target

LIMIT_MS = 20.0
READERS = 4
# Long enough that readers wait for the server, not for each other.
PAUSE_SECONDS = 0.02
# The pushes are under way by then.
WARM_UP_SECONDS = 1.0
Address = tuple[str, int]


class _Touching(AsShipped):
    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says, with a short grace period, of which reads touch a row twice."""
        return super().configuration() | {"garbage_collector": {"grace_period": "1s", "interval": "24h"}}


class Touching(Ours):
    """The registry whose reads write."""

    kind = _Touching


def read(address: Address, begin: Begin, seconds: float) -> Load:
    """Return the reads of all readers together."""

    def paused() -> Operation | None:
        time.sleep(PAUSE_SECONDS)
        return begin()

    with ThreadPoolExecutor(READERS) as readers:
        loads = list(readers.map(lambda _: Run(address, paused, connections=1, seconds=seconds)(), range(READERS)))
    together = Load(seconds)
    for load in loads:
        together.latencies += load.latencies
        together.errors += load.errors
    return together


def beside_pushes(address: Address, push: Begin, connections: int, measure: Callable[[], Load]) -> tuple[Load, Load]:
    """Return what `measure` returns beside pushes of a process of their own, and those."""
    context = get_context("fork")
    ours, theirs = context.Pipe()
    pusher = context.Process(target=_push, args=(address, push, connections, theirs), daemon=True)
    pusher.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        reads = measure()
        ours.send("stop")
        return reads, ours.recv()
    finally:
        pusher.terminate()
        pusher.join()


def _push(address: Address, push: Begin, connections: int, orders: Connection) -> None:
    load = Run(address, lambda: None if orders.poll() else push(), connections=connections, seconds=3600)()
    orders.send(load)


def line(name: str, load: Load) -> str:
    """Return a line of the table."""
    ordered = sorted(load.latencies)
    times = "".join(f"{percentile(ordered, percent):>10.1f}" for percent in (50, 99, 100))
    return f"{name:<34}{len(ordered) / load.seconds:>8.0f}{times}"


def main() -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.reads_beside_pushes", description="Read beside pushes.")
    parser.add_argument("--connections", type=int, default=32, help="that push (32)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (10)")
    parser.add_argument("--results", type=Path, help="folder for reads_beside_pushes-<database>.txt (none)")
    options = parser.parse_args()
    lines = [f"{'':<34}{'a second':>8}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}"]
    is_quick, database = True, ""
    for name, kind in (("reads", Ours), ("reads that touch", Touching)):
        alone, beside, pushes, database = measured(kind, options.connections, options.seconds)
        lines += [
            line(name, alone),
            line(f"{name}, {options.connections} pushers", beside),
            line("their images", pushes),
        ]
        is_quick &= percentile(sorted(beside.latencies), 99) <= LIMIT_MS
    said = report.about("python -m bench.reads_beside_pushes", database=database)
    text = "\n".join([*(f"{key}: {value}" for key, value in said.items()), "", *lines, ""])
    print(text)
    if options.results is not None:
        (options.results / f"reads_beside_pushes-{database}.txt").write_text(text)
    return 0 if is_quick else 1


def measured(kind: type[Ours], connections: int, seconds: float) -> tuple[Load, Load, Load, str]:
    """Return reads alone, reads beside pushes, those pushes, and the kind of database; exit when something failed."""
    rows = {row.name: row for row in ROWS}
    with tempfile.TemporaryDirectory(prefix="registry-reads-") as folder:
        ours, stock = kind(Path(folder) / "ours"), Stock(large_bytes=64 * 1024)
        try:
            prepare.fill(ours, stock, ())
            get, push = (rows[name].build(Target(ours), stock) for name in ("manifest-get-tag", "image-push"))
            read(ours.address, get, WARM_UP_SECONDS)
            alone = read(ours.address, get, seconds)
            beside, pushes = beside_pushes(ours.address, push, connections, lambda: read(ours.address, get, seconds))
        finally:
            ours.stop()
    for load in (alone, beside, pushes):
        if load.errors:
            sys.exit(next(iter(load.errors)))
    return alone, beside, pushes, ours.database


if __name__ == "__main__":
    sys.exit(main())
