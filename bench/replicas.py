"""Compare two replicas with one: `python -m tests.postgresql python -m bench.replicas`. Exit status 1: below LIMIT.

Both serve one PostgreSQL and one folder, with the default workers. The same number of connections goes to one of them,
or is shared between both; what counts is operations per CPU-second of all servers and of the database.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import prepare, rows
from bench.load import Load, Run
from bench.peers import AsShipped, Ours
from bench.rows import Row, Stock
from bench.target import Target
from tests.databases import drop_database
from tests.storages import section

LIMIT = 0.9
PULLS = ("manifest-get-tag", "manifest-head-digest", "blob-head", "blob-get", "image-pull")
SECRET = "a secret key that both replicas have in common"


class _First(AsShipped):
    """A replica whose keys are in the database."""

    is_migrated = False
    has_known_keys = False

    def configuration(self) -> dict[str, object]:
        shipped: dict[str, Any] = super().configuration()
        return shipped | {"server": shipped["server"] | {"secret_key": SECRET}, "auth": {"keys": "database"}}


class First(Ours):
    """The replica that makes the tables."""

    kind = _First


def second_to(first: First) -> type[Ours]:
    """Return the kind of replica that shares database and storage with `first`."""

    class _Second(_First):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            drop_database(self.database_url)
            self.database_url = first.database_url

        def configuration(self) -> dict[str, object]:
            return super().configuration() | {"storage": section(first.objects.parent)}

    class Second(Ours):
        kind = _Second

    return Second


def per_cpu_second(servers: Sequence[Ours], row: Row, stock: Stock, connections: int, seconds: float) -> float:
    """Return the operations of all servers per CPU-second of them and the database."""

    def drive(server: Ours) -> Load:
        begin = row.build(Target(server), stock)
        return Run(server.address, begin, connections=connections // len(servers), seconds=seconds)()

    first = servers[0]
    before = first.cpu_seconds() + sum(server.own_cpu_seconds() for server in servers[1:])
    with ThreadPoolExecutor(len(servers)) as pool:
        loads = list(pool.map(drive, servers))
    used = first.cpu_seconds() + sum(server.own_cpu_seconds() for server in servers[1:]) - before
    errors = [error for load in loads for error in load.errors]
    if errors:
        raise SystemExit(f"{row.name}: {errors[0]}")
    return sum(len(load.latencies) for load in loads) / used


def main(arguments: Sequence[str]) -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description="Compare two replicas with one.")
    parser.add_argument("--rounds", type=int, default=5, help="best of so many (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a round (default: 1.5)")
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args(arguments)
    stock, worst = Stock(large_bytes=1 << 20, names=0), 1.0
    with tempfile.TemporaryDirectory(prefix="registry-replicas-") as folder:
        first = First(Path(folder) / "first")
        try:
            second = second_to(first)(Path(folder) / "second")
            try:
                prepare.fill(first, stock, ())
                print(f"{'':<22} {'one':>8} {'two':>8}  ratio   operations per CPU-second, database included")
                for row in (row for row in rows.ROWS if row.name in PULLS):
                    found: dict[int, float] = {1: 0.0, 2: 0.0}
                    for _ in range(options.rounds + 1):
                        for number, servers in ((1, [first]), (2, [first, second])):
                            done = per_cpu_second(servers, row, stock, options.connections, options.seconds)
                            found[number] = max(found[number], done)
                    ratio = found[2] / found[1]
                    worst = min(worst, ratio)
                    print(f"{row.name:<22} {found[1]:>8.0f} {found[2]:>8.0f} {ratio:>6.2f}", flush=True)
            finally:
                second.end()
        finally:
            first.stop()
    return 0 if worst >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
