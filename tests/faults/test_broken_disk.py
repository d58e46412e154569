"""A disk that fails: the push is refused with a 503, its session goes on, and nothing half-written is published."""

import json
import re
from pathlib import Path

import pytest

from tests.clients.server import Answer
from tests.faults.commands import Commands
from tests.faults.pusher import Pusher
from tests.faults.registry import Registry
from tests.faults.trace import parse, traced
from tests.images import digest_of

STEPS = ("upload.write", "upload.fsync", "upload.after_fsync")
# The number is that of the passing: the first chunk is taken.
APPENDING = {"upload.after_truncate": 1, "upload.write": 2, "upload.fsync": 2}


@pytest.fixture
def alice(registry: Registry, request: pytest.FixtureRequest) -> Pusher:
    """Give each test a repository of its own."""
    return Pusher(registry, "alice/" + re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-"))


@pytest.fixture
def parts(alice: Pusher) -> tuple[bytes, bytes]:
    """Give each test bytes of its own."""
    return alice.repository.encode(), b" on a disk that fails"


def assert_unavailable(answer: Answer) -> None:
    assert answer.status == 503, answer.body
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "fault", [f"{step}=error:{error}@{passing}" for step, passing in APPENDING.items() for error in ("EIO", "ENOSPC")]
)
def test_a_chunk_that_the_disk_refuses_is_sent_again_in_its_session(
    registry: Registry, commands: Commands, alice: Pusher, parts: tuple[bytes, bytes], fault: str
) -> None:
    registry.arm(fault)
    location = alice.expect(202, "PATCH", alice.start(), parts[0]).headers["location"]

    refused = alice.send("PATCH", location, parts[1])
    stands = alice.expect(204, "GET", location).headers["range"]
    alice.expect(202, "PATCH", location, parts[1])
    alice.expect(201, "PUT", f"{location}?digest={digest_of(b''.join(parts))}", b"")

    assert_unavailable(refused)
    assert stands == f"0-{len(parts[0]) - 1}"
    assert alice.send("GET", f"blobs/{digest_of(b''.join(parts))}").body == b"".join(parts)
    assert commands.run("fsck", "--deep").output == "no problems\n"


@pytest.mark.parametrize("step", STEPS)
def test_an_end_that_the_disk_refuses_publishes_nothing_and_is_tried_again(
    registry: Registry, commands: Commands, alice: Pusher, parts: tuple[bytes, bytes], step: str
) -> None:
    registry.arm(f"{step}=error:EIO@3")
    digest, location = digest_of(b"".join(parts)), alice.start()
    for part in parts:
        location = alice.expect(202, "PATCH", location, part).headers["location"]
        # Each chunk is in an object of its own, and the end writes a third one.
        registry.leave_writers_behind()

    refused = alice.send("PUT", f"{location}?digest={digest}", b"")
    early = alice.send("HEAD", f"blobs/{digest}")
    alice.expect(201, "PUT", f"{location}?digest={digest}", b"")

    assert_unavailable(refused)
    assert early.status == 404
    assert alice.send("GET", f"blobs/{digest}").body == b"".join(parts)
    assert commands.run("fsck", "--deep").output == "no problems\n"


@pytest.mark.client("strace")
def test_an_fsync_that_failed_is_not_tried_again_and_its_object_is_thrown_away(
    registry: Registry, commands: Commands, alice: Pusher, parts: tuple[bytes, bytes], tmp_path: Path
) -> None:
    """The kernel may have dropped the pages: a second fsync would succeed, and the bytes be lost."""
    content = b"".join(parts)
    (worker,) = registry.workers()

    with traced(worker, tmp_path / "trace", "-e", "inject=fsync:error=EIO"):
        refused = alice.send("POST", f"blobs/uploads/?digest={digest_of(content)}", content)

    calls = [call for call in parse((tmp_path / "trace").read_text()) if "/objects/" in call.file]
    assert_unavailable(refused)
    # Once as what was not written, once with all that the session had.
    assert [call.name for call in calls] == ["openat", "write", "fsync", "unlink", "unlink"]
    assert alice.send("HEAD", f"blobs/{digest_of(content)}").status == 404
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_an_object_that_the_disk_does_not_delete_waits_for_the_next_run(
    registry: Registry, commands: Commands, alice: Pusher, parts: tuple[bytes, bytes]
) -> None:
    alice.upload_whole(parts[0])
    alice.expect(202, "DELETE", f"blobs/{digest_of(parts[0])}")
    registry.pass_time()

    failed = commands.run("gc", failpoints="trash.before_delete=error:EIO")
    registry.pass_time()
    done = commands.run("gc")

    assert (failed.status, done.status) == (1, 0), failed.output
    assert registry.keys()["trash"] == set()
    assert commands.run("fsck", "--deep").output == "no problems\n"


@pytest.mark.client("strace")
def test_a_small_blob_that_can_not_be_read_is_an_error_and_not_a_lost_connection(
    registry: Registry, alice: Pusher, parts: tuple[bytes, bytes], tmp_path: Path
) -> None:
    alice.upload_whole(parts[0])
    (stored,) = [blob for blob in registry.blobs() if blob.digest == digest_of(parts[0])]
    (worker,) = registry.workers()

    with traced(
        worker, tmp_path / "trace", "-P", str(stored.file), "-e", "trace=pread64", "-e", "inject=pread64:error=EIO"
    ):
        failed = alice.send("GET", f"blobs/{stored.digest}")

    assert failed.status == 500
    assert json.loads(failed.body)["errors"][0]["code"] == "UNKNOWN"
    assert alice.send("GET", f"blobs/{stored.digest}").body == parts[0]
