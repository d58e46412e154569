"""All of it together, and what is checked in the end."""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.hostile import Orders
from bench.hostile_process import Hostile
from bench.soak.events import Events, manage
from bench.soak.honest import CAST, MANIFEST_TYPE
from bench.soak.samples import Samples
from bench.soak.world import HOSTILE, SoakServer, World
from tests.clients.server import Server
from tests.images import digest_of, manifest

ADDRESS = "127.0.0.2"
PUBLIC = "public/large"
LARGE = bytes(16 << 20)
LEAST_SECONDS = 60.0
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
# Of any kind.
ENDINGS = {
    "503": "no place was left for it",
    "POST 503": "no place was left for it",
    "page 503": "no place was left for it",
    "408": "was too slow",
    "no answer": "was given up by the client itself",
    "ended": "its connection was ended: too slow, in the way of others, or the worker ended",
    "ConnectionResetError": "its connection was ended: too slow, in the way of others, or the worker ended",
    "BrokenPipeError": "its connection was ended: too slow, in the way of others, or the worker ended",
    "POST ended": "the server was restarted",
    "page ended": "the server was restarted",
    "ConnectionRefusedError": "the server was restarted",
    # The crowd keeps its first tokens, which are good for half an hour.
    "401": "its token had expired",
    "POST 401": "its token had expired",
}


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


def run(world: World, seconds: float, crowd: Mapping[str, int] = CROWD) -> Outcome:
    """Let everything happen for `seconds`, beside a crowd of hostile clients, then check everything."""
    orders = orders_for(world.server, crowd)
    clients = [kind(world, f"{kind.__name__.lower()}-{n}") for kind, number in CAST.items() for n in range(number)]
    samples, events = Samples(world, seconds), Events(world, seconds)
    samples.start()
    with Hostile(orders) as hostile, ThreadPoolExecutor(len(clients) + 1) as threads:
        acting = [threads.submit(act) for act in (*(client.act for client in clients), events.act)]
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
    faults = [*world.ledger.faults(), *samples.faults(), *hostile_faults(hostile.answers), *idle(world, seconds)]
    return Outcome(world, samples, hostile.answers, [*faults, *check(world)])


def orders_for(server: Server, crowd: Mapping[str, int]) -> Orders:
    """Push the blob that is read slowly, and return what the hostile clients do."""
    admin = f"Bearer {server.token('admin', f'repository:{PUBLIC}:pull,push')}"
    # In an image: a blob of none is garbage in the first pause in which nobody begins to read it.
    for blob in (b"{}", LARGE):
        path = f"/v2/{PUBLIC}/blobs/uploads/?digest={digest_of(blob)}"
        assert server.request("POST", path, authorization=admin, body=blob).status == 201
    path, image = f"/v2/{PUBLIC}/manifests/v1", manifest(b"{}", LARGE)
    assert server.request("PUT", path, authorization=admin, body=image, more=MANIFEST_TYPE).status == 201
    return Orders(
        server.port,
        ADDRESS,
        blob=f"/v2/{PUBLIC}/blobs/{digest_of(LARGE)}",
        pull=f"Bearer {server.token(HOSTILE, f'repository:{PUBLIC}:pull')}",
        uploads="/v2/charlie/many/blobs/uploads/",
        push=f"Bearer {server.token(HOSTILE, 'repository:charlie/many:pull,push')}",
        **crowd,
    )


def idle(world: World, seconds: float) -> list[str]:
    """Return which clients came to nothing: a soak in which nothing happens finds nothing."""
    if seconds < LEAST_SECONDS:
        return []
    return [f"no rounds of {kind.__name__}" for kind in CAST if not world.ledger.answers[f"rounds of {kind.__name__}"]]


def reason_for(name: str) -> str | None:
    """Return why hostile clients may be answered so, None when nothing explains it."""
    kind, _, what = name.partition(" ")
    return REFUSALS.get(f"{kind} {what}") or ENDINGS.get(what)


def hostile_faults(answers: dict[str, int]) -> list[str]:
    """Return the answers to hostile clients that nothing explains."""
    return [
        f"hostile clients were answered {name} ({number} times)"
        for name, number in answers.items()
        if reason_for(name) is None
    ]


def check(world: World) -> list[str]:
    """Return what is wrong once all clients are gone: in rows, files and the log."""
    before = len(world.ledger.unexplained)
    time.sleep(1)
    manage(world, "gc", "--grace-period", "0s", statuses=(0, 3))
    manage(world, "fsck", "--deep")
    logged = [
        f"the server logged {line[:1000]}" for line in world.server.log_file.read_text().splitlines() if is_bad(line)
    ]
    return [*world.ledger.unexplained[before:], *logged[:20]]


def is_bad(line: str) -> bool:
    """Tell whether a line of the log is an error, but for the death of a worker, which was killed here."""
    is_error = '"level": "error"' in line or '"level": "critical"' in line or '"status": 500' in line
    return is_error and "was sent SIGKILL" not in line


def lines(outcome: Outcome) -> list[str]:
    """Return the summary."""
    ledger = outcome.world.ledger
    found = ["answers and events", *(f"{number:>9}  {name}" for name, number in sorted(ledger.answers.items()))]
    found += ["", "not 2xx, and why", *(f"{number:>9}  {name}" for name, number in sorted(ledger.explained.items()))]
    found += ["", "hostile clients"]
    found += [f"{number:>9}  {name}: {reason_for(name)}" for name, number in sorted(outcome.hostile.items())]
    found += ["", *outcome.samples.lines(), ""]
    growth = "flat" if outcome.samples.are_judged else "too short to judge what grows"
    verdict = ["WRONG", *outcome.faults] if outcome.faults else [f"0 unexplained, {growth}, fsck --deep is clean"]
    return found + verdict
