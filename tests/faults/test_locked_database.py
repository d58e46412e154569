"""A writer that holds SQLite's one lock: pulls go on, pushes get a 503, and nothing that they brought is lost."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from tests.clients.server import Answer
from tests.faults.commands import Commands
from tests.faults.conftest import KEPT
from tests.faults.pusher import SHARED, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of, manifest

CONTENT = b"whole before the database was locked"


@contextmanager
def locked(registry: Registry) -> Iterator[None]:
    """Write, and take one's time over it."""
    with closing(sqlite3.connect(registry.folder / "registry.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.fixture
def alice(registry: Registry) -> Pusher:
    """Push to a registry with the database of which a lock keeps everybody from writing."""
    if registry.vendor != "sqlite":
        pytest.skip("PostgreSQL has a lock for each row")
    return Pusher(registry, "alice/locked")


def test_pushes_are_503_while_the_lock_is_held_and_go_on_after_it(
    registry: Registry, commands: Commands, alice: Pusher
) -> None:
    end = f"{alice.expect(202, 'PATCH', alice.start(), CONTENT).headers['location']}?digest={digest_of(CONTENT)}"
    alice.upload_whole(b"{}")
    requests = [("POST", "blobs/uploads/", b""), ("PUT", end, b""), ("PUT", "manifests/v1", manifest(b"{}"))]

    with locked(registry), ThreadPoolExecutor(len(requests)) as clients:
        pushes = [clients.submit(alice.send, *request) for request in requests]
        is_served = Pusher(registry, SHARED).pull(KEPT, "kept")
        refused: list[Answer] = [push.result() for push in pushes]
    again = [alice.send(*request).status for request in requests]

    assert is_served
    assert [answer.status for answer in refused] == [503] * len(requests)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert again == [202, 201, 201]
    assert alice.send("GET", f"blobs/{digest_of(CONTENT)}").body == CONTENT
    assert commands.run("fsck", "--deep").output == "no problems\n"
