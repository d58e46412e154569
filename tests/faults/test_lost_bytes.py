"""Bytes that change or vanish on the disk: `fsck` finds them, nobody is given them, and a push heals the blob."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import Commands
from tests.faults.conftest import KEPT
from tests.faults.pusher import Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of


def flip(file: Path) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    """Lose the end."""
    file.write_bytes(file.read_bytes()[:-1])


def lose(file: Path) -> None:
    """Lose the file."""
    file.unlink()


@pytest.mark.parametrize("damage", [flip, cut, lose])
def test_damage_is_found_kept_from_clients_and_healed_by_a_push(
    registry: Registry, commands: Commands, damage: Callable[[Path], None]
) -> None:
    alice = Pusher(registry, f"alice/{damage.__name__}")
    image = Artifact(KEPT.shared, (damage.__name__.encode(), b" happened"))
    alice.push(image)
    layer = digest_of(image.layer)
    damage(next(blob.file for blob in registry.blobs() if blob.digest == layer))

    found = registry.manage("fsck", "--deep")
    marked = commands.run("fsck", "--deep", "--repair")
    answers = [alice.send(method, f"blobs/{layer}").status for method in ("HEAD", "GET")]
    alice.push(image)
    healed = commands.run("fsck", "--deep")

    assert (found.returncode, marked.status, healed.status) == (1, 1, 0)
    assert f"blob {layer}: its object" in found.stdout
    assert f"{layer}" in marked.output
    assert "answers 404 until a push heals it" in marked.output
    assert answers == [404, 404]
    assert healed.output == "no problems\n"
    assert alice.pull(image)


def test_a_check_that_only_looks_leaves_the_blob_as_it_is(registry: Registry, commands: Commands) -> None:
    alice = Pusher(registry, "alice/looked-at")
    alice.upload_whole(b"looked at")
    (stored,) = [blob for blob in registry.blobs() if blob.digest == digest_of(b"looked at")]
    flip(stored.file)

    checked = commands.run("fsck", "--deep")

    assert checked.status == 1
    assert alice.send("HEAD", f"blobs/{stored.digest}").status == 200
    flip(stored.file)
    assert commands.run("fsck", "--deep").output == "no problems\n"
