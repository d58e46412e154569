"""Ask a server for small things while hundreds of slow clients pull and push: `python -m bench.slow_clients`.

A server of its own (SQLite, a temporary folder, loopback, the settings that it ships with) serves clients that move
64 KiB a second: so many that pull one blob of 64 MiB, so many that push, every other one chunked. Meanwhile one
client asks for `/health` and `/v2/`, each time on a new connection; p50 and max are of these answers. Memory is of
the master and its workers together, in MiB: RSS counts what processes share once for each, PSS once for all.

Exit status 1: an answer took longer than a second, was not a 200, or a slow client failed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.memory import FORK_SECONDS, MEBIBYTE, Memory, now
from tests.clients.server import Server
from tests.clients.slow_crowd import Orders, SlowCrowd, prepare
from tests.project.talk import Talk

PATHS = ("/health", "/v2/")
LIMIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds that each answer took, by path, and what the server held and had then."""

    seconds: dict[str, list[float]]
    memory: Memory
    threads: list[int]


def seconds(server: Server, path: str, token: str) -> float:
    """Return how long one answer takes on a new connection; infinity for anything but a 200."""
    started = time.monotonic()
    with Talk(server) as talk:
        status = talk.ask("GET", path, f"Authorization: Bearer {token}").status
    return time.monotonic() - started if status == 200 else float("inf")


def measure(server: Server, token: str, rounds: int) -> Measured:
    """Ask for every path so often."""
    found: dict[str, list[float]] = {path: [] for path in PATHS}
    for _ in range(rounds):
        for path in PATHS:
            found[path].append(seconds(server, path, token))
    return Measured(found, now(server), [len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in server.workers()])


@contextmanager
def at_work(orders: Orders) -> Iterator[SlowCrowd]:
    """Let the crowd come, and finish at the end; exit when one of them failed."""
    with SlowCrowd(orders) as crowd:
        for step in (crowd.wait_until_under_way, None, crowd.finish):
            if step is None:
                yield crowd
            elif failures := step().failures:
                sys.exit(f"{len(failures)} slow clients failed: {failures[0]}")


def row(name: str, measured: Measured) -> str:
    """Return a line of the table."""
    times = [f"{1000 * of(measured.seconds[path]):>8.1f}" for path in PATHS for of in (median, max)]
    memory = f"{measured.memory.rss / MEBIBYTE:>8.0f}{measured.memory.pss / MEBIBYTE:>8.0f}"
    return f"{name:<24}{''.join(times)}{memory}  {' + '.join(map(str, measured.threads))}"


def compare(server: Server, clients: int, rounds: int) -> bool:
    """Measure without and with slow clients, print the table, and return whether every answer came in time."""
    orders = prepare(server, clients, clients)
    measure(server, orders.token, rounds)
    before = measure(server, orders.token, rounds)
    with at_work(orders):
        during = measure(server, orders.token, rounds)
    after = measure(server, orders.token, rounds)
    print(f"{len(server.workers())} workers, {os.cpu_count()} cores, {rounds} answers each, ms and MiB")
    print(f"{'slow clients':<24}" + "".join(f"{path:>16}" for path in PATHS) + f"{'RSS':>8}{'PSS':>8}  threads")
    print(" " * 24 + f"{'p50':>8}{'max':>8}" * len(PATHS))
    print(row("none", before))
    print(row(f"{clients} pull, {clients} push", during))
    print(row("none any more", after))
    return all(max(during.seconds[path]) <= LIMIT_SECONDS for path in PATHS)


def main() -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(description="Measure answers to small requests beside slow clients.")
    parser.add_argument("--clients", type=int, default=200, help="that pull, and as many that push (200)")
    parser.add_argument("--rounds", type=int, default=200, help="requests for each path (200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="registry-slow-clients-") as folder:
        server = Server(Path(folder))
        try:
            server.start()
            time.sleep(FORK_SECONDS)
            is_quick = compare(server, options.clients, options.rounds)
        finally:
            server.stop()
    print(f"{'every' if is_quick else 'NOT EVERY'} answer within {LIMIT_SECONDS:.0f} s")
    return 0 if is_quick else 1


if __name__ == "__main__":
    sys.exit(main())
