"""A clock that jumps by two days and back: nothing that is in use goes, and collection does not wait for it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.server import started
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

pytestmark = pytest.mark.client("faketime")

COLLECT = ("gc", "--delete-untagged", "--grace-period", "24h")


class Shifted(Registry):
    """A server, and commands beside it, whose clock is `shift` days off; the clock of a PostgreSQL is right."""

    shift = 0

    def environment(self) -> dict[str, str]:
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        lie = {"LD_PRELOAD": str(library), "FAKETIME": f"{self.shift:+d}d"}
        return super().environment() | (lie if self.shift else {})

    def jump(self, shift: int) -> None:
        """Start the server again with another clock."""
        self.end()
        self.shift = shift
        self.start()


@pytest.fixture
def shifted(tmp_path: Path) -> Iterator[Shifted]:
    """Run a registry with the right clock."""
    registry = Shifted(tmp_path)
    with started(registry):
        yield registry


def image(content: bytes) -> Artifact:
    return Artifact(b"a layer that others mount", (content, b" o'clock"))


@pytest.mark.parametrize("shift", [2, -2])
def test_a_clock_that_jumps_and_comes_back_takes_nothing_that_is_in_use(shifted: Shifted, shift: int) -> None:
    before, meanwhile = image(b"before"), image(b"meanwhile")
    alice = Pusher(shifted, SHARED)
    alice.upload_whole(before.shared)
    alice.push(before, "before")

    shifted.jump(shift)
    there = Pusher(shifted, SHARED)
    there.push(meanwhile, "meanwhile")
    collected = [shifted.manage(*COLLECT).returncode]
    shifted.jump(0)
    back = Pusher(shifted, SHARED)
    back.upload_whole(b"just now")
    collected.append(shifted.manage(*COLLECT).returncode)

    assert collected == [0, 0]
    assert back.pull(before, "before")
    assert back.pull(meanwhile, "meanwhile")
    assert back.send("HEAD", f"blobs/{digest_of(b'just now')}").status == 200
    assert shifted.manage("fsck", "--deep").stdout == "no problems\n"


def test_a_collection_killed_in_the_future_keeps_no_other_from_its_turn(shifted: Shifted) -> None:
    if shifted.vendor != "sqlite":
        pytest.skip("on PostgreSQL a lease has the time of its server")
    shifted.shift = 2
    killed = shifted.manage(*COLLECT, failpoints="collect.after_begin=kill")

    shifted.shift = 0
    collected = shifted.manage(*COLLECT)

    assert killed.returncode == -signal.SIGKILL
    assert collected.returncode == 0, collected.stderr
