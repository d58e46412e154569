"""All of it together, and what is checked in the end."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.hostile import Orders
from bench.hostile_process import Hostile
from bench.soak.events import Events, manage
from bench.soak.honest import CAST
from bench.soak.samples import Samples
from bench.soak.world import HOSTILE, SoakServer, World
from tests.clients.server import Server
from tests.images import digest_of

ADDRESS = "127.0.0.2"
PUBLIC = "public/large"
LARGE = bytes(16 << 20)
CROWD = {"readers": 24, "halves": 24, "guessers": 4, "quadratic": 1, "broken": 2}
# What hostile clients may be answered, and why; everything else is not explained.
REFUSALS = {
    "readers 200": "was read slowly",
    "readers ended": "gave way to others, or was too slow",
    "halves 408": "took too long for its head",
    "halves ended": "took too long for its head",
    "guessers 200": "the page for a login again: wrong",
    "guessers 401": "wrong password",
    "guessers 429": "guessed too often",
    "guessers page 429": "guessed too often",
    "quadratic 202": "was stored",
    "quadratic 400": "more extensions than data",
    "broken 400": "no chunks",
}
BUSY = ("503", "no answer", "ConnectionResetError", "BrokenPipeError", "ended", "page 503", "POST 503", "408")
AWAY = ("ConnectionRefusedError", "POST ended", "page ended")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a soak found; `faults` is empty when all was as it should be."""

    world: World
    samples: Samples
    hostile: dict[str, int]
    faults: list[str]


@contextmanager
def soaked(folder: Path, seed: int) -> Iterator[World]:
    """Run a server for the block."""
    server = SoakServer(folder)
    try:
        server.start()
        yield World(server, seed)
    finally:
        server.stop()


def run(world: World, seconds: float) -> Outcome:
    """Let everything happen for `seconds`, then check everything."""
    orders = orders_for(world.server)
    clients = [kind(world, f"{kind.__name__.lower()}-{n}") for kind, number in CAST.items() for n in range(number)]
    samples, events = Samples(world, seconds), Events(world, seconds)
    samples.start()
    with Hostile(orders) as hostile, ThreadPoolExecutor(len(clients) + 1) as threads:
        acting = [threads.submit(client.act) for client in (*clients, events)]
        over = threading.Timer(seconds, world.is_over.set)
        over.start()
        try:
            # One that breaks ends the soak: it has found nothing any more.
            for future in acting:
                future.result()
        finally:
            over.cancel()
            world.is_over.set()
            samples.stop()
    faults = [*world.ledger.faults(), *samples.faults(), *hostile_faults(world, hostile.answers)]
    return Outcome(world, samples, hostile.answers, [*faults, *check(world)])


def orders_for(server: Server) -> Orders:
    """Push the blob that is read slowly, and return what the hostile clients do."""
    admin = f"Bearer {server.token('admin', f'repository:{PUBLIC}:pull,push')}"
    path = f"/v2/{PUBLIC}/blobs/uploads/?digest={digest_of(LARGE)}"
    assert server.request("POST", path, authorization=admin, body=LARGE).status == 201
    return Orders(
        server.port,
        ADDRESS,
        blob=f"/v2/{PUBLIC}/blobs/{digest_of(LARGE)}",
        pull=f"Bearer {server.token(HOSTILE, f'repository:{PUBLIC}:pull')}",
        uploads="/v2/charlie/many/blobs/uploads/",
        push=f"Bearer {server.token(HOSTILE, 'repository:charlie/many:pull,push')}",
        **CROWD,
    )


def hostile_faults(world: World, answers: dict[str, int]) -> list[str]:
    """Return the answers to hostile clients that nothing explains, and kinds that were not answered at all."""
    was_away = any(name.startswith(("SIGTERM", "kill -9")) for name in world.ledger.answers)
    found = []
    for name, number in answers.items():
        kind, _, what = name.partition(" ")
        is_expected = name in REFUSALS or what in BUSY or (was_away and what in AWAY)
        # A token is good for half an hour, and the crowd keeps its first.
        if not is_expected and not (kind in {"readers", "quadratic", "broken"} and what in {"401", "POST 401"}):
            found.append(f"hostile clients were answered {name} ({number} times)")
    return found


def check(world: World) -> list[str]:
    """Return what is wrong once all clients are gone: in rows, files and the log."""
    before = len(world.ledger.unexplained)
    time.sleep(1)
    manage(world, "gc", "--grace-period", "0s", statuses=(0, 3))
    manage(world, "fsck", "--deep")
    lines = world.server.log_file.read_text().splitlines()
    bad = [
        line for line in lines if '"level": "error"' in line or '"level": "critical"' in line or '"status": 500' in line
    ]
    logged = [f"the server logged {line[:1000]}" for line in bad[:20]]
    return [*world.ledger.unexplained[before:], *logged]


def lines(outcome: Outcome) -> list[str]:
    """Return the summary."""
    ledger = outcome.world.ledger
    found = ["answers and events", *(f"{number:>9}  {name}" for name, number in sorted(ledger.answers.items()))]
    found += ["", "not 2xx, and why", *(f"{number:>9}  {name}" for name, number in sorted(ledger.explained.items()))]
    found += ["", "hostile clients"]
    for name, number in sorted(outcome.hostile.items()):
        found.append(f"{number:>9}  {name}" + (f": {REFUSALS[name]}" if name in REFUSALS else ""))
    found += ["", *outcome.samples.lines(), ""]
    return found + (["WRONG", *outcome.faults] if outcome.faults else ["0 unexplained, flat, fsck --deep is clean"])
