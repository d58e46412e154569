"""Be served while somebody else takes all there is: `python -m bench.siege [--seconds 60]`.

From 127.0.0.2, one process (`bench.hostile`): 1,100 slow readers, 1,100 half heads, 64 guessers of passwords and 10
uploads that once took quadratic time. A reader or half head that is turned away comes again after ten seconds: that
is some 200 new connections a second.

From 127.0.0.1: a client pushes and pulls an image of 2 MiB, and `/health` is asked every 100 ms, each time on a new
connection. The server has the settings that it ships with; REGISTRY_DATABASE_URL names a PostgreSQL to use. Exit
status 1: something failed, or the p99 of `/health` is above a second.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bench.hostile import Orders
from bench.hostile_process import Hostile
from tests.clients.server import Answer, Server
from tests.images import digest_of, manifest

GREEDY = "127.0.0.2"
PUBLIC = "public/large"
LARGE = bytes(64 << 20)
HEALTH_SECONDS = 0.1
LIMIT_SECONDS = 1.0
IMAGE_BYTES = 2 << 20
MANIFEST_TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}


class Besieged(Server):
    """A server with an account for those outside, and one for those who besiege it."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        found = super().configuration()
        rules = found["acl"]
        assert isinstance(rules, list)
        return found | {"acl": [*rules, {"account": "charlie", "name": "charlie/*", "actions": ["*"]}]}


@dataclass(slots=True)
class Times:
    """Seconds that each answer took, and what failed instead."""

    name: str
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def take(self, act: Callable[[], str]) -> None:
        """Measure `act`, which returns what is wrong, empty: nothing."""
        started = time.monotonic()
        try:
            wrong = act()
        except (OSError, KeyError, ValueError) as error:
            wrong = f"{type(error).__name__} {error}"
        self.seconds.append(time.monotonic() - started)
        if wrong:
            self.failures.append(wrong)

    def at(self, share: float) -> float:
        """Return how long so many of the answers took at most."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))] if self.seconds else 0.0

    def row(self) -> str:
        """Return a line of the table, in milliseconds."""
        figures = "".join(f"{1000 * self.at(share):>10.0f}" for share in (0.5, 0.99, 1.0))
        return f"{self.name:<10}{len(self.seconds):>8}{figures}{len(self.failures):>10}"


def is_bad(answer: Answer, *statuses: int) -> str:
    """Say what is wrong with an answer; nothing when its status is one of these."""
    return "" if answer.status in statuses else f"{answer.status} {answer.body[:200]!r}"


class Honest:
    """A client that pushes an image and pulls it, each time a new one."""

    def __init__(self, server: Server) -> None:
        """Have done nothing yet."""
        self._server, self._chance = server, Random(0)
        self.token, self.push, self.pull = Times("token"), Times("push"), Times("pull")

    def act(self) -> None:
        """Log in, push and pull once."""
        layer = self._chance.randbytes(IMAGE_BYTES)
        payload, bearer = manifest(b"{}", layer), ""

        def log_in() -> str:
            nonlocal bearer
            bearer = f"Bearer {self._server.token('alice', 'repository:alice/honest:pull,push')}"
            return ""

        self.token.take(log_in)
        self.push.take(lambda: self._push(bearer, layer, payload))
        self.pull.take(lambda: self._pull(bearer, layer, payload))

    def _push(self, bearer: str, layer: bytes, payload: bytes) -> str:
        for blob in (b"{}", layer):
            path = f"/v2/alice/honest/blobs/uploads/?digest={digest_of(blob)}"
            if wrong := is_bad(self._server.request("POST", path, authorization=bearer, body=blob), 201):
                return wrong
        path = "/v2/alice/honest/manifests/v1"
        return is_bad(self._server.request("PUT", path, authorization=bearer, body=payload, more=MANIFEST_TYPE), 201)

    def _pull(self, bearer: str, layer: bytes, payload: bytes) -> str:
        for path, content in ((f"manifests/{digest_of(payload)}", payload), (f"blobs/{digest_of(layer)}", layer)):
            answer = self._server.request("GET", f"/v2/alice/honest/{path}", authorization=bearer)
            if wrong := is_bad(answer, 200):
                return wrong
            if answer.body != content:
                return f"{len(answer.body)} other bytes came for {path}"
        return ""


def watch_health(server: Server, times: Times, is_over: threading.Event) -> None:
    """Ask every HEALTH_SECONDS, whatever the last answer took."""
    asked: list[threading.Thread] = []
    while not is_over.wait(HEALTH_SECONDS):
        ask = threading.Thread(target=times.take, args=(lambda: is_bad(server.request("GET", "/health"), 200),))
        ask.start()
        asked.append(ask)
    for ask in asked:
        ask.join()


def measure(server: Server, seconds: float) -> list[Times]:
    """Be honest for so long, and return how long everything took."""
    health, honest, is_over = Times("/health"), Honest(server), threading.Event()
    watcher = threading.Thread(target=watch_health, args=(server, health, is_over))
    watcher.start()
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            honest.act()
    finally:
        is_over.set()
        watcher.join()
    return [health, honest.token, honest.push, honest.pull]


def orders_for(server: Server, options: argparse.Namespace) -> Orders:
    """Push the blob that is read slowly, and return what the besiegers do."""
    admin = f"Bearer {server.token('admin', f'repository:{PUBLIC}:pull,push')}"
    path = f"/v2/{PUBLIC}/blobs/uploads/?digest={digest_of(LARGE)}"
    if wrong := is_bad(server.request("POST", path, authorization=admin, body=LARGE), 201):
        sys.exit(wrong)
    return Orders(
        server.port,
        GREEDY,
        blob=f"/v2/{PUBLIC}/blobs/{digest_of(LARGE)}",
        pull=f"Bearer {server.token('charlie', f'repository:{PUBLIC}:pull')}",
        uploads="/v2/charlie/many/blobs/uploads/",
        push=f"Bearer {server.token('charlie', 'repository:charlie/many:pull,push')}",
        readers=options.readers,
        halves=options.halves,
        guessers=options.guessers,
        quadratic=options.quadratic,
        pause=options.pause,
    )


def table(title: str, rows: list[Times]) -> None:
    """Print what was measured, in milliseconds, and the first failures."""
    print(f"{title:<10}{'asked':>8}{'p50 ms':>10}{'p99':>10}{'max':>10}{'failures':>10}")
    for times in rows:
        print(times.row())
    for times in rows:
        for failure in sorted(set(times.failures))[:5]:
            print(f"FAILED {times.name}: {failure[:300]}")


def besiege(server: Server, options: argparse.Namespace) -> bool:
    """Measure before and during the siege; return whether everybody was served in time."""
    orders = orders_for(server, options)
    print(f"{len(server.workers())} workers, {os.cpu_count()} cores, {options.seconds:.0f} s")
    table("before", measure(server, min(10.0, options.seconds)))
    with Hostile(orders) as hostile:
        hostile.wait_until_ready()
        rows = measure(server, options.seconds)
    table("besieged", rows)
    print("the besiegers: " + ", ".join(f"{number} {what}" for what, number in sorted(hostile.answers.items())))
    return rows[0].at(0.99) <= options.limit and not any(times.failures for times in rows)


def main() -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(description="Measure what an honest client gets beside hostile ones.")
    parser.add_argument("--seconds", type=float, default=60)
    for kind, number in (("readers", 1100), ("halves", 1100), ("guessers", 64), ("quadratic", 10)):
        parser.add_argument(f"--{kind}", type=int, default=number)
    parser.add_argument(
        "--pause", type=float, default=10.0, help="seconds until one who was turned away comes again (10)"
    )
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds that /health may take (1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="registry-siege-") as folder:
        server = Besieged(Path(folder))
        try:
            server.start()
            is_held = besiege(server, options)
        finally:
            server.stop()
    print("held" if is_held else "NOT HELD")
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
