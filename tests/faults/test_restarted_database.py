"""A PostgreSQL that is restarted: its connections are dead, and whoever asks once it is back is answered."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import KEPT, serving
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import PATIENCE_SECONDS, Registry
from tests.postgresql import Cluster

NEW = Artifact(KEPT.shared, (b"pushed after the restart",))
# What the pool of a worker has room for.
POOLED = 8
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def registry(postgresql: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Run a registry with an image and a pool that is full of connections, on a PostgreSQL of its own."""
    monkeypatch.setenv("REGISTRY_DATABASE_URL", f"{postgresql.url}/postgres")
    registry = Registry(tmp_path)
    # Else it may forget what it has said was committed; the cluster of tests is set up so.
    registry.execute(f'ALTER DATABASE "{registry.database_url.rpartition("/")[2]}" SET synchronous_commit = on')
    with serving(registry) as pusher:
        fill_pool(pusher, registry.database_url)
        yield registry


@pytest.fixture
def alice(registry: Registry) -> Pusher:
    """Be somebody with a token from before the restart."""
    alice = Pusher(registry, SHARED)
    assert alice.token
    return alice


def fill_pool(alice: Pusher, database_url: str) -> None:
    """Let so many requests wait for the database at once that each connection of the pool is made."""
    with ThreadPoolExecutor(POOLED) as clients, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE accounts_rightsepoch IN ACCESS EXCLUSIVE MODE")
        answers = [clients.submit(alice.send, "GET", "manifests/kept") for _ in range(POOLED)]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while blocker.execute(_CONNECTIONS).fetchone() != (POOLED,):
            assert time.monotonic() < deadline, "the pool did not fill"
            blocker.execute("SELECT pg_stat_clear_snapshot()")
            time.sleep(0.01)
        blocker.rollback()
        assert [answer.result().status for answer in answers] == [200] * POOLED


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_the_first_push_after_a_restart_gets_in(postgresql: Cluster, alice: Pusher, how: signal.Signals) -> None:
    postgresql.stop(how)
    postgresql.start()

    alice.push(NEW)

    assert alice.pull(NEW)


def test_a_crowd_after_a_restart_is_answered(postgresql: Cluster, alice: Pusher) -> None:
    postgresql.stop(signal.SIGQUIT)
    postgresql.start()

    with ThreadPoolExecutor(4 * POOLED) as clients:
        answers = list(clients.map(lambda _: alice.send("GET", "manifests/kept").status, range(4 * POOLED)))

    assert answers == [200] * 4 * POOLED


def test_while_it_is_away_everybody_is_told_so_and_the_first_push_after_it_gets_in(
    registry: Registry, postgresql: Cluster, alice: Pusher
) -> None:
    postgresql.stop()
    with ThreadPoolExecutor(4 * POOLED) as clients:
        crowd = [clients.submit(alice.send, "POST", "blobs/uploads/", b"") for _ in range(4 * POOLED)]
        health = registry.request("GET", "/health")
        refused = [answer.result() for answer in crowd]
    postgresql.start()

    alice.push(NEW)

    assert (health.status, b'"database": "unavailable"' in health.body) == (503, True)
    assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "2")}
    assert alice.pull(NEW)
