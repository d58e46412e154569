"""A request that stands still is overtaken, wakes, and writes: what was published meanwhile stays as it was sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from distribution.uploads.leases import LEASE
from tests.clients.server import kill_group
from tests.databases import drop_database
from tests.faults.commands import Commands
from tests.faults.pusher import CONNECTION_ERRORS, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

# Where the request stands still, and at which passing: the first chunk goes by.
STEPS = {
    "upload.after_claim": 2,
    "upload.after_truncate": 1,
    "upload.write": 2,
    "upload.after_write": 2,
    "upload.fsync": 2,
    "upload.after_folder_fsync": 2,
}
JUNK = b"what the request that stood still has to say"


@pytest.fixture(scope="module")
def beside(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run another server on the database and the storage of the first."""
    beside = Registry(tmp_path_factory.mktemp("beside"))
    drop_database(beside.database_url)
    beside.database_url, beside.data = registry.database_url, registry.data
    try:
        beside.start()
        yield beside
    finally:
        beside.end()


@contextmanager
def stopped(registry: Registry) -> Iterator[None]:
    """Begin when the worker has come to its failpoint and stands still, and let it go on at the end."""
    try:
        registry.wait_until_stopped()
        yield
    finally:
        registry.let_worker_go_on()


@pytest.mark.parametrize("second", [b"", b"what came instead"])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_stood_still_and_writes_later_changes_no_blob(
    registry: Registry, beside: Registry, commands: Commands, step: str, second: bytes
) -> None:
    repository = f"alice/overtaken/{step.replace('.', '/')}/{len(second)}"
    slow, quick = Pusher(registry, repository), Pusher(beside, repository)
    first = repository.encode()
    registry.arm(f"{step}=stop@{STEPS[step]}")
    location = slow.expect(202, "PATCH", slow.start(), first).headers["location"]

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(slow.send, "PATCH", location, JUNK)
        with stopped(registry):
            registry.leave_writers_behind()
            if second:
                quick.expect(202, "PATCH", location, second)
            quick.expect(201, "PUT", f"{location}?digest={digest_of(first + second)}", b"")
        answer = late.result()

    assert answer.status == 404
    assert quick.send("GET", f"blobs/{digest_of(first + second)}").body == first + second
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_a_replica_goes_on_within_seconds_with_what_a_dead_one_was_receiving(
    registry: Registry, beside: Registry, commands: Commands
) -> None:
    dead, alive = Pusher(registry, "alice/overtaken/dead"), Pusher(beside, "alice/overtaken/dead")
    registry.arm("upload.after_write=stop@2")
    location = dead.expect(202, "PATCH", dead.start(), b"what counts, ").headers["location"]

    with ThreadPoolExecutor(1) as threads:
        cut = threads.submit(dead.send, "PATCH", location, b"what does not")
        registry.wait_until_stopped()
        assert registry.process is not None
        kill_group(registry.process.pid)
        registry.process.wait()
        with pytest.raises(CONNECTION_ERRORS):
            cut.result()
    waited = alive.insist(202, "PATCH", location, b"and the rest")
    alive.expect(201, "PUT", f"{location}?digest={digest_of(b'what counts, and the rest')}", b"")

    assert waited < 2 * LEASE.total_seconds()
    assert alive.send("GET", f"blobs/{digest_of(b'what counts, and the rest')}").body == b"what counts, and the rest"
    registry.start()
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_a_worker_that_stood_still_and_writes_while_others_go_on_changes_nothing_of_theirs(
    registry: Registry, beside: Registry, commands: Commands
) -> None:
    slow, quick = Pusher(registry, "alice/overtaken/goes-on"), Pusher(beside, "alice/overtaken/goes-on")
    pieces = [b"one of the pieces of ", b"a layer that is ", b"pushed by two"]
    registry.arm("upload.after_claim=stop@2")
    location = slow.expect(202, "PATCH", slow.start(), pieces[0]).headers["location"]

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(slow.send, "PATCH", location, JUNK)
        with stopped(registry):
            registry.leave_writers_behind()
            quick.expect(202, "PATCH", location, pieces[1])
        answer = late.result()
    quick.expect(202, "PATCH", location, pieces[2])
    quick.expect(201, "PUT", f"{location}?digest={digest_of(b''.join(pieces))}", b"")

    assert (answer.status, answer.headers["range"]) == (416, f"0-{len(pieces[0] + pieces[1]) - 1}")
    assert quick.send("GET", f"blobs/{digest_of(b''.join(pieces))}").body == b"".join(pieces)
    assert commands.run("fsck", "--deep").output == "no problems\n"
