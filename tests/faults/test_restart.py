"""A server and commands started as an operator starts them, which die on the way and are started again."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.server import Server
from tests.faults.pusher import CONNECTION_ERRORS, SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

IMAGE = Artifact(b"shared", (b"a layer ", b"in two pieces"))


class Dying(Server):
    """A server as it is installed, with failpoints in its environment."""

    failpoints = ""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"REG_FAILPOINTS": self.failpoints}


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Dying]:
    """Have a server that is not started yet."""
    server = Dying(tmp_path)
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["upload.after_folder_fsync", "manifest.after_put_commit"])
def test_a_server_that_dies_at_every_push_serves_once_it_is_started_without_the_fault(dying: Dying, name: str) -> None:
    dying.failpoints = f"{name}=kill"
    dying.start()
    alice = Pusher(dying, SHARED)
    for _ in range(3):
        with pytest.raises(CONNECTION_ERRORS):
            _push(alice)
    # A worker that is told to stop while it starts would not hear it.
    dying.wait_until_healthy()
    dying.end()

    dying.failpoints = ""
    dying.start()
    _push(alice)

    assert alice.pull(IMAGE)


def _push(alice: Pusher) -> None:
    alice.upload_whole(IMAGE.shared)
    alice.push(IMAGE)


@pytest.mark.parametrize("name", ["trash.after_delete", "collect.before_link_commit"])
def test_jobs_that_were_killed_are_done_by_the_next(registry: Registry, name: str) -> None:
    alice = Pusher(registry, "alice/jobs")
    for content in (b"in the trash", b"linked by nothing"):
        alice.upload_whole(content)
    alice.expect(202, "DELETE", f"blobs/{digest_of(b'in the trash')}")
    registry.pass_time()
    words = ("runjobs", "--once") if name.startswith("trash") else ("gc",)

    killed = registry.manage(*words, failpoints=f"{name}=kill")
    registry.pass_time()
    done = registry.manage(*words)

    assert (killed.returncode, done.returncode) == (-signal.SIGKILL, 0), done.stderr
    assert registry.manage("fsck", "--deep").stdout == "no problems\n"


def test_a_collection_beside_one_that_was_killed_says_whose_turn_it_is(registry: Registry) -> None:
    """The lease of the dead one runs out by itself."""
    killed = registry.manage("gc", failpoints="collect.after_begin=kill")

    early = registry.manage("gc")
    registry.pass_time()
    late = registry.manage("gc")

    assert killed.returncode == -signal.SIGKILL
    assert (early.returncode, late.returncode) == (3, 0), early.stderr
    assert "Another run is in progress" in early.stderr
