"""A request that stands still is overtaken, wakes, and writes: what was published meanwhile stays as it was sent."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests.clients.server import drop_database
from tests.faults.commands import Commands
from tests.faults.pusher import Pusher
from tests.faults.registry import PATIENCE_SECONDS, Registry
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
ASLEEP_SECONDS = 2
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
def stopped(registry: Registry, location: str) -> Iterator[None]:
    """Stop the worker that has claimed the session, and let it go on at the end."""
    (worker,) = registry.workers()
    session = UUID(location.rpartition("/")[2]).hex
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not registry.rows(f"SELECT 1 FROM distribution_upload WHERE id = '{session}' AND lease IS NOT NULL"):
        assert time.monotonic() < deadline, "nobody claimed the session"
        time.sleep(0.01)
    # It is at the failpoint by then, and not yet past it.
    time.sleep(ASLEEP_SECONDS / 4)
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("second", [b"", b"what came instead"])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_stood_still_and_writes_later_changes_no_blob(
    registry: Registry, beside: Registry, commands: Commands, step: str, second: bytes
) -> None:
    repository = f"alice/overtaken/{step.replace('.', '/')}/{len(second)}"
    slow, quick = Pusher(registry, repository), Pusher(beside, repository)
    first = repository.encode()
    registry.arm(f"{step}=sleep:{ASLEEP_SECONDS}@{STEPS[step]}")
    location = slow.expect(202, "PATCH", slow.start(), first).headers["location"]

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(slow.send, "PATCH", location, JUNK)
        with stopped(registry, location):
            registry.leave_writers_behind()
            if second:
                quick.expect(202, "PATCH", location, second)
            quick.expect(201, "PUT", f"{location}?digest={digest_of(first + second)}", b"")
        answer = late.result()

    assert answer.status == 404
    assert quick.send("GET", f"blobs/{digest_of(first + second)}").body == first + second
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_a_worker_that_stood_still_and_writes_while_others_go_on_changes_nothing_of_theirs(
    registry: Registry, beside: Registry, commands: Commands
) -> None:
    slow, quick = Pusher(registry, "alice/overtaken/goes-on"), Pusher(beside, "alice/overtaken/goes-on")
    pieces = [b"one of the pieces of ", b"a layer that is ", b"pushed by two"]
    registry.arm(f"upload.after_claim=sleep:{ASLEEP_SECONDS}@2")
    location = slow.expect(202, "PATCH", slow.start(), pieces[0]).headers["location"]

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(slow.send, "PATCH", location, JUNK)
        with stopped(registry, location):
            registry.leave_writers_behind()
            quick.expect(202, "PATCH", location, pieces[1])
        answer = late.result()
    quick.expect(202, "PATCH", location, pieces[2])
    quick.expect(201, "PUT", f"{location}?digest={digest_of(b''.join(pieces))}", b"")

    assert (answer.status, answer.headers["range"]) == (416, f"0-{len(pieces[0] + pieces[1]) - 1}")
    assert quick.send("GET", f"blobs/{digest_of(b''.join(pieces))}").body == b"".join(pieces)
    assert commands.run("fsck", "--deep").output == "no problems\n"
