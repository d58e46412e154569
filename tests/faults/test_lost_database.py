"""A PostgreSQL that cuts its connections or crashes while images are pushed: each gets in, and whole."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.clients.server import Answer, started
from tests.faults.pusher import SHARED, Artifact, Pusher, RefusedError
from tests.faults.registry import PATIENCE_SECONDS, Registry
from tests.images import digest_of
from tests.postgresql import cluster

PUSHERS = 4
IMAGES = 4
FAULTS = 3
SHARED_LAYER = b"a layer that others mount"
_OTHERS = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Run a registry on a PostgreSQL of its own, which nobody else misses."""
    if not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        pytest.skip("SQLite has no server")
    with cluster() as server:
        monkeypatch.setenv("REGISTRY_DATABASE_URL", f"{server.url}/postgres")
        registry = Registry(tmp_path)
        # Else its server may forget in a crash what it said was committed; the cluster of tests is set up so.
        registry.execute(f'ALTER DATABASE "{_name(registry)}" SET synchronous_commit = on')
        with started(registry):
            yield registry


def cut(registry: Registry) -> None:
    """End every connection of the registry."""
    with _connected() as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}".encode(), [_name(registry)])


def crash(registry: Registry) -> None:
    """Kill a process of the server: it ends all others, recovers from its log and starts again."""
    with _connected() as connection:
        row = connection.execute(f"SELECT pid {_OTHERS} LIMIT 1".encode(), [_name(registry)]).fetchone()
    if row is not None:
        os.kill(row[0], signal.SIGKILL)


def _connected() -> psycopg.Connection:
    """Connect to the server, once it has recovered from the crash before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return psycopg.connect(os.environ["REGISTRY_DATABASE_URL"], autocommit=True)
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not come back"
            time.sleep(0.05)


def _name(registry: Registry) -> str:
    return urlsplit(registry.database_url).path.removeprefix("/")


def push_until_done(alice: Pusher, image: Artifact, tag: str) -> list[Answer]:
    """Push as someone does who sees an error and tries again; return the refusals."""
    refusals: list[Answer] = []
    while len(refusals) < 50:
        try:
            alice.push(image, tag)
        except RefusedError as error:
            refusals.append(error.answer)
            time.sleep(0.2)
        else:
            return refusals
    raise AssertionError(f"{tag} never got in: {refusals[-1]}")


@pytest.mark.parametrize("fault", [cut, crash])
def test_every_push_gets_in_though_the_database_goes_away(
    registry: Registry, fault: Callable[[Registry], None]
) -> None:
    Pusher(registry, SHARED).upload_whole(SHARED_LAYER)
    crowd = [Pusher(registry, f"alice/{number}") for number in range(PUSHERS)]
    assert all(alice.token for alice in crowd)

    def work(alice: Pusher) -> list[Answer]:
        images = [Artifact(SHARED_LAYER, (alice.repository.encode(), bytes([n]))) for n in range(IMAGES)]
        return [refusal for n, image in enumerate(images) for refusal in push_until_done(alice, image, f"v{n}")]

    with ThreadPoolExecutor(PUSHERS) as threads:
        working = [threads.submit(work, alice) for alice in crowd]
        for _ in range(FAULTS):
            time.sleep(0.5)
            fault(registry)
        refusals = [refusal for each in working for refusal in each.result()]

    assert [refusal for refusal in refusals if refusal.status >= 500 and not is_declared(refusal)] == []
    for alice in crowd:
        for number in range(IMAGES):
            assert alice.pull(Artifact(SHARED_LAYER, (alice.repository.encode(), bytes([number]))), f"v{number}")
    assert registry.manage("fsck", "--deep").stdout == "no problems\n"


def test_a_question_that_was_cut_off_is_asked_again(registry: Registry) -> None:
    """A pull waits for a lock; the server ends its connection, and then the lock."""
    alice = Pusher(registry, SHARED)
    alice.upload_whole(SHARED_LAYER)
    assert alice.token

    with ThreadPoolExecutor(1) as client, psycopg.connect(registry.database_url) as blocker:
        blocker.execute("LOCK TABLE accounts_rightsepoch IN ACCESS EXCLUSIVE MODE")
        pull = client.submit(alice.send, "GET", f"blobs/{digest_of(SHARED_LAYER)}")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not cut_off(registry):
            assert time.monotonic() < deadline, "nobody asks"
            time.sleep(0.01)
        blocker.rollback()

        assert pull.result().body == SHARED_LAYER


def cut_off(registry: Registry) -> int:
    """End the connections of the registry that wait for a lock, and return how many there were."""
    waiting = f"SELECT pg_terminate_backend(pid) {_OTHERS} AND wait_event_type = 'Lock'"
    with _connected() as connection:
        return len(connection.execute(waiting.encode(), [_name(registry)]).fetchall())


def is_declared(answer: Answer) -> bool:
    """Return whether this is the 503 that says when to come back."""
    return answer.status == 503 and answer.headers.get("retry-after", "").isdecimal()
