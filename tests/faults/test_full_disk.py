"""The disk of the blobs is full: pushes wait, everything else goes on, and space that comes back is used."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

MEBIBYTE = 1 << 20
DISK_BYTES = 8 * MEBIBYTE
IMAGE = Artifact(b"a layer", (b"that was ", b"there before"))
LARGE = bytes(5 * MEBIBYTE)


class Small(Registry):
    """A server with its blobs on the small disk, and its database on another one."""

    def configuration(self) -> dict[str, object]:
        # A reserve would refuse with 403 before the disk is full.
        storage = {"filesystem": {"rootdirectory": str(self.data)}, "min_free": "0"}
        return super().configuration() | {"storage": storage}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a few mebibytes; leave the test out where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        left_out = f"no file system can be mounted here: {mounted.stderr.strip()}"
        if os.environ.get("REGISTRY_REQUIRE_CLIENTS"):
            pytest.fail(left_out, pytrace=False)
        pytest.skip(left_out)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def full_registry(small_disk: Path, tmp_path: Path) -> Iterator[Registry]:
    """Serve from the small disk an image that was pushed while there was space."""
    registry = Small(tmp_path)
    registry.data = small_disk / "data"
    try:
        registry.start()
        alice = Pusher(registry, SHARED)
        alice.upload_whole(IMAGE.shared)
        alice.push(IMAGE)
        yield registry
    finally:
        registry.stop()


def test_a_full_disk_refuses_pushes_until_space_is_back_and_nothing_else(full_registry: Registry) -> None:
    alice = Pusher(full_registry, SHARED)
    alice.upload_whole(LARGE)
    before, location = full_registry.objects(), alice.start()
    more = digest_of(LARGE[:-1])

    refused = alice.send("PATCH", location, LARGE[:-1])
    whole = alice.send("POST", f"blobs/uploads/?digest={more}", LARGE[:-1])
    left = full_registry.objects() - before
    alice.expect(202, "DELETE", f"blobs/{digest_of(LARGE)}")
    full_registry.pass_time()
    collected = full_registry.manage("gc")
    alice.expect(202, "PATCH", alice.start(), LARGE[:-1])
    alice.upload_whole(b"one more")

    for answer in (refused, whole):
        assert (answer.status, answer.headers["retry-after"].isdecimal()) == (503, True), answer.body
    assert left == set()
    assert collected.returncode == 0, collected.stderr
    assert alice.pull(IMAGE)
    assert full_registry.manage("fsck", "--deep").stdout == "no problems\n"
