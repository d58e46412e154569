"""A run: a server, everybody at once, collectors between their feet, and what has to be so in the end."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests import preloaded
from tests.clients.server import ROOT, Server
from tests.images import manifest
from tests.stress import crowd, owners, passing, slow_and_quick
from tests.stress.actor import Actor
from tests.stress.client import Client
from tests.stress.collectors import Collectors
from tests.stress.tally import FaultError
from tests.stress.world import GRACE_SECONDS, REPOSITORIES, STRICT, WRECKED, World, moving, pinned

# Of a run, with a grace period; the rest has none.
PROMISED = 0.6
PHASES_SECONDS = 60.0
# Far above what it takes until everything has happened, on the slowest machine; no turn begins later.
PATIENCE_SECONDS = 300.0
CAST: dict[type[Actor], int] = {
    owners.Pusher: 2,
    owners.IndexPusher: 1,
    owners.ReferrerPusher: 1,
    crowd.Mounter: 1,
    crowd.Retagger: 1,
    crowd.Reader: 1,
    crowd.Deleter: 1,
    crowd.Quitter: 1,
    passing.Passer: 2,
    passing.Wrecked: 1,
    passing.Wrecker: 1,
    slow_and_quick.Waiter: 3,
    slow_and_quick.Scrapper: 4,
}
LONG_AGO = "2020-01-01 00:00:00"


class StressedServer(Server):
    """A server with a grace period that is over while one looks."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says; collection is done by others."""
        section = {"enabled": False, "grace_period": f"{GRACE_SECONDS}s", "remove_untagged": True}
        return super().configuration() | {"garbage_collector": section}


@contextmanager
def stressed(folder: Path, seed: int) -> Iterator[World]:
    """Run a server for the block."""
    server = StressedServer(folder)
    try:
        server.start()
        yield World(server, seed)
    finally:
        server.stop()


def run(world: World, seconds: float, is_enough: Callable[[], bool] = lambda: True) -> None:
    """Let everybody act for `seconds`, and on until it is enough, then check everything.

    On a busy machine the same again is never enough: actors make more manifests due than a run removes in a phase, so
    none reaches links. Hence each further turn is twice as long, and its actors act half as much. What was wrong is in
    the tally.
    """
    furnish(world)
    actors = [kind(world, f"{kind.__name__.lower()}-{n}") for kind, number in CAST.items() for n in range(number)]
    with ThreadPoolExecutor(len(actors)) as threads:
        acting = [threads.submit(actor.act) for actor in actors]
        try:
            given_up_at = time.monotonic() + seconds + PATIENCE_SECONDS
            spin(world, time.monotonic() + seconds)
            while not is_enough() and time.monotonic() < given_up_at:
                world.calm *= 2
                spin(world, time.monotonic() + seconds * world.calm)
        finally:
            world.is_over.set()
        for future in acting:
            future.result()
    check(world)


def furnish(world: World) -> None:
    """Push what nobody deletes: images that stay, and the first target of each tag that moves."""
    client = Client(world, world.chance("furnish"))
    for repository in REPOSITORIES:
        tags = [*(pinned() if repository in STRICT else []), *moving()]
        for tag in tags:
            contents = [*client.chance.sample(world.shared(), 3), tag.encode()]
            for content in contents:
                client.upload(repository, content)
            client.put(repository, tag, manifest(*contents), client.promises())
    client.connection.close()


def spin(world: World, until: float) -> None:
    """Let collectors spin with a grace period and without one, by turns."""
    while (left := until - time.monotonic()) > 0:
        world.turns += 1
        length = min(left, PHASES_SECONDS * world.calm)
        world.phase.change(GRACE_SECONDS)
        collect(world, GRACE_SECONDS, length * PROMISED, f"{world.turns}-grace")
        world.phase.change(0)
        collect(world, 0, min(length * (1 - PROMISED), until - time.monotonic()), f"{world.turns}-none")


def collect(world: World, grace_seconds: float, seconds: float, name: str) -> None:
    """Let collectors spin for so long."""
    collectors = Collectors(world, grace_seconds, name)
    collectors.start()
    try:
        world.is_over.wait(max(0.0, seconds))
    finally:
        collectors.stop()


def check(world: World) -> None:
    """Check that nothing is broken, that everything that may go goes, and that nothing else is left."""
    world.tally.counts["deadlocks"] = 0 if world.is_sqlite else deadlocks(world.server)
    manage(world, "fsck", "--deep")
    pull_everything(world)
    collect_everything(world)
    compare_storage_with_rows(world)
    check_log(world)


def pull_everything(world: World) -> None:
    """Pull each tag whole."""
    client = Client(world, world.chance("pull"))
    for repository in REPOSITORIES:
        reply = client.connection.send("GET", f"/v2/{repository}/tags/list", (200,))
        for tag in json.loads(reply.body)["tags"]:
            try:
                client.pull(repository, tag, None)
            except FaultError:
                world.tally.add("broken manifests")
            world.tally.add("tags pulled in the end")
    client.connection.close()


def collect_everything(world: World) -> None:
    """Let everything have happened long ago, and collect until the trash is empty too."""
    for _ in range(2):
        world.server.execute(f"UPDATE distribution_upload SET active_at = '{LONG_AGO}', leased_until = NULL")
        world.server.execute(f"UPDATE distribution_trash SET delete_after = '{LONG_AGO}'")
        manage(world, "gc", "--grace-period", "0s")


def compare_storage_with_rows(world: World) -> None:
    """Compare objects with rows; no row may be left that nothing holds."""
    objects = world.server.objects()
    rows = {key for (key,) in world.server.rows("SELECT key FROM distribution_blob")}
    world.tally.add("objects in the end", len(objects))
    world.tally.add("blobs in the end", len(rows))
    if objects != rows:
        world.tally.fail(f"objects without a blob: {sorted(objects - rows)}; blobs without: {sorted(rows - objects)}")
    for table in ("distribution_upload", "distribution_segment", "distribution_trash"):
        if left := world.server.rows(f"SELECT * FROM {table}"):
            world.tally.fail(f"{table} is not empty: {left}")
    names = {name for (name,) in world.server.rows("SELECT name FROM distribution_repository")}
    if extra := names - {*REPOSITORIES, WRECKED}:
        world.tally.fail(f"repositories are left in which nothing is: {extra}")
    for table in ("distribution_manifest", "distribution_link"):
        if left := world.server.rows(f"SELECT id FROM {table} WHERE is_unreferenced"):
            world.tally.fail(f"{table} has rows that nothing holds: {left}")


def manage(world: World, *words: str) -> None:
    """Run a command of manage.py; it has to end well."""
    command = [sys.executable, "manage.py", *words]
    ended = preloaded.run(command, cwd=ROOT, env=world.server.environment(), timeout=300)
    if ended.returncode:
        world.tally.fail(f"manage.py {' '.join(words)}: {ended.returncode}\n{ended.stdout}{ended.stderr}")


def check_log(world: World) -> None:
    """Look for what the server itself calls an error."""
    lines = world.server.log_file.read_text().splitlines()
    for line in lines:
        if '"level": "error"' in line or '"level": "critical"' in line or "Traceback" in line or "deadlock" in line:
            world.tally.fail(f"the server logged {line[:2000]}")


def deadlocks(server: Server) -> int:
    """Return how many deadlocks PostgreSQL has seen in the server's database."""
    with psycopg.connect(server.database_url) as connection:
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(row[0]) if row else 0
