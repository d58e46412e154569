"""A writer that holds SQLite's one lock: pulls go on, pushes get a 503, and nothing that they brought is lost."""

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.clients.server import Answer
from tests.faults.commands import Commands
from tests.faults.conftest import KEPT
from tests.faults.pusher import SHARED, Pusher
from tests.faults.registry import Registry
from tests.faults.unwritable import locked
from tests.images import digest_of, manifest

CONTENT = b"whole before the database was locked"


@contextmanager
def write_lock_taken(registry: Registry) -> Iterator[None]:
    """Be the process whose turn it is to write."""
    with (registry.folder / "registry.sqlite3.turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


def test_pushes_wait_while_it_is_the_turn_of_another_process(registry: Registry, alice: Pusher) -> None:
    blobs = [b"waits for its turn %d" % number for number in range(8)]

    with ThreadPoolExecutor(len(blobs)) as clients:
        with write_lock_taken(registry):
            pushes = [clients.submit(alice.upload_whole, blob) for blob in blobs]
            assert Pusher(registry, SHARED).pull(KEPT, "kept")
            assert not any(push.done() for push in pushes)
        for push in pushes:
            push.result()

    assert [alice.send("GET", f"blobs/{digest_of(blob)}").body for blob in blobs] == blobs


def test_pushes_whose_turn_does_not_come_are_503(registry: Registry, commands: Commands, alice: Pusher) -> None:
    alice.upload_whole(b"{}")
    number = 4 * len(registry.workers())

    with write_lock_taken(registry), ThreadPoolExecutor(number) as clients:
        pushes = [clients.submit(alice.send, "POST", "blobs/uploads/") for _ in range(number)]
        answers = [push.result() for push in pushes]

    assert [answer.status for answer in answers] == [503] * number
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert alice.send("POST", "blobs/uploads/").status == 202
    assert commands.run("fsck", "--deep").output == "no problems\n"
