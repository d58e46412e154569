"""Webhooks under fire: `python -m bench.webhooks [--events 10000] [--seed N]`.

A real server gets pushes, and sends each as an event to a receiver that fails half of the time: it answers 500, closes
the connection, or takes the event and never says so. Meanwhile workers are killed with SIGKILL, those that push and the
one that delivers. In the end every push that was acknowledged has been received, in the order of its repository.
REGISTRY_DATABASE_URL names a PostgreSQL to do it on (`python -m tests.postgresql python -m bench.webhooks`). Exit
status 1: something was wrong.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.clients.server import Server, started
from tests.images import digest_of, manifest
from tests.webhooks.receiver import Receiver, receiving

SECRET = "a secret of the trial, of thirty-two bytes or more"
PUSHERS = 4
OF_REPOSITORY = 40
# A retry waits twice as long as the one before: without a bound the last of 10,000 would wait for hours.
MOST_FAILURES = 4
CONFIG = b"{}"


class Trial:
    """The server, what was acknowledged, and what the receiver does."""

    def __init__(self, server: Server, receiver: Receiver, events: int, seed: int) -> None:
        self.server, self.receiver = server, receiver
        self.repositories = [f"alice/app-{number}" for number in range(max(1, events // OF_REPOSITORY))]
        self.chance = random.Random(seed)
        self.failures: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()
        self.kills = Counter[str]()
        self.is_over = threading.Event()
        receiver.answer = self.answer

    def answer(self, handler: BaseHTTPRequestHandler, _body: bytes) -> int:
        """Fail every other time."""
        event = handler.headers["X-Registry-Event-Id"]
        with self.receiver.lock:
            way = self.chance.choice(["500", "close", "silent", "200", "200", "200"])
            if self.failures[event] >= MOST_FAILURES:
                way = "200"
            self.ways[way] += 1
            if way != "200":
                self.failures[event] += 1
        if way in ("500", "200"):
            return Receiver.say(handler, int(way))
        handler.close_connection = True
        # "silent" took the event, and its answer is lost.
        return 200 if way == "silent" else 0

    def push(self, names: list[str]) -> None:
        """Push tags of repositories in turns; what is not acknowledged is pushed again."""
        payload = manifest(CONFIG)
        tokens: dict[str, str] = {}
        for number in range(-1, OF_REPOSITORY):
            for name in names:
                while not self.is_over.is_set():
                    try:
                        token = (
                            tokens[name]
                            if name in tokens
                            else self.server.token("alice", f"repository:{name}:pull,push")
                        )
                        tokens[name] = token
                        if self._send(name, token, number, payload):
                            break
                    except (OSError, HTTPException, KeyError, ValueError):
                        pass
                    time.sleep(0.1)

    def _send(self, name: str, token: str, number: int, payload: bytes) -> bool:
        bearer = f"Bearer {token}"
        if number < 0:
            path = f"/v2/{name}/blobs/uploads/?digest={digest_of(CONFIG)}"
            return self.server.request("POST", path, body=CONFIG, authorization=bearer).status == 201
        path = f"/v2/{name}/manifests/t{number}"
        more = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
        return self.server.request("PUT", path, body=payload, more=more, authorization=bearer).status == 201

    def kill(self, seconds: float) -> None:
        """Kill a worker now and then; every other time the one that delivers."""
        while not self.is_over.wait(seconds):
            workers = self.server.workers()
            holders = self.server.rows("SELECT holder FROM webhooks_deliverylease")
            delivering = [pid for pid in workers for (holder,) in holders if holder.endswith(f"process {pid}")]
            victims = delivering if delivering and self.chance.random() < 0.5 else workers
            if victims:
                victim = self.chance.choice(victims)
                os.kill(victim, signal.SIGKILL)
                self.kills["deliverer" if victim in delivering else "other worker"] += 1

    def pending(self) -> int:
        (row,) = self.server.rows("SELECT count(*) FROM webhooks_delivery WHERE state = 'pending'")
        return int(row[0])

    def wrongs(self) -> list[str]:
        """Return what was lost, and where the order was broken; first deliveries count."""
        received: dict[str, dict[str, None]] = defaultdict(dict)
        sequences: dict[str, list[int]] = defaultdict(list)
        for request in self.receiver.accepted:
            received[request.repository][request.event["target"]["tag"]] = None
            if request.event["sequence"] not in sequences[request.repository]:
                sequences[request.repository].append(request.event["sequence"])
        found = []
        for name in self.repositories:
            if list(received[name]) != [f"t{number}" for number in range(OF_REPOSITORY)]:
                found.append(f"{name}: {len(received[name])} of {OF_REPOSITORY}: {list(received[name])[:50]}")
            if sequences[name] != sorted(sequences[name]):
                found.append(f"{name}: the sequence is not in order")
        return found


def run(trial: Trial, pause: float) -> None:
    names = trial.repositories
    pushers = [threading.Thread(target=trial.push, args=(names[n::PUSHERS],)) for n in range(PUSHERS)]
    killer = threading.Thread(target=trial.kill, args=(pause,), daemon=True)
    begun = time.monotonic()
    for thread in (*pushers, killer):
        thread.start()
    for thread in pushers:
        thread.join()
    print(f"pushed after {time.monotonic() - begun:.0f} s, {trial.pending()} pending", flush=True)
    while (left := trial.pending()) and time.monotonic() - begun < 1500:
        print(f"{time.monotonic() - begun:.0f} s: {left} pending", flush=True)
        time.sleep(10)
    trial.is_over.set()
    killer.join()
    print(f"delivered after {time.monotonic() - begun:.0f} s; {trial.pending()} pending")


def main() -> int:
    """Run as the command line says, print every count, and return the exit status."""
    parser = argparse.ArgumentParser(description="Deliver events to a receiver that fails, and kill workers meanwhile.")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kill-every", type=float, default=15.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"{options.events} events, seed {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="registry-webhooks-") as folder,
        receiving() as receiver,
        started(Server(Path(folder))) as server,
    ):
        values = f"name='trial', url={receiver.url!r}, allow_http=True, allow_private=True"
        made = f"from webhooks.models import Webhook; w = Webhook({values}); w.set_secret({SECRET!r}); w.save()"
        server.does("shell", "-c", made)
        trial = Trial(server, receiver, options.events, options.seed)
        run(trial, options.kill_every)
        found = trial.wrongs()
    print(f"requests by what the receiver did: {dict(trial.ways)}; killed: {dict(trial.kills)}")
    print("\n".join(["WRONG", *found]) if found else "every push was received, in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
