"""kill -9 at each step of push, collection and backup: what was promised is there, and nothing needs a human.

The next push succeeds, `fsck --deep` finds nothing, and collection gives back whatever the kill left behind.
"""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from core.failpoints import NAMES
from tests.faults.commands import Commands
from tests.faults.conftest import KEPT
from tests.faults.pusher import CONNECTION_ERRORS, SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

COLLECT = ("gc", "--delete-untagged", "--grace-period", "24h")


@dataclass(frozen=True, slots=True)
class Scene:
    """A registry, a client with an image of its own, and somebody at a terminal."""

    registry: Registry
    commands: Commands
    alice: Pusher
    image: Artifact

    def collect(self) -> None:
        """Let two days pass and collect, twice: the second run gives back what the first threw away."""
        for _ in range(2):
            self.registry.pass_time()
            ended = self.commands.run(*COLLECT)
            assert ended.status == 0, ended.output


Act = Callable[[Scene], None]


def nothing(_: Scene) -> None:
    """Find an empty repository."""


def push(scene: Scene) -> None:
    scene.alice.push(scene.image)


def cancel(scene: Scene) -> None:
    location = scene.alice.start()
    location = scene.alice.expect(202, "PATCH", location, b"never mind").headers["location"]
    scene.alice.expect(204, "DELETE", location)


def push_over_a_stuck_writer(scene: Scene) -> None:
    """Take an upload over from a request that is not heard of: its object is left alone, and the end copies it."""
    first, second = scene.image.parts
    location = scene.alice.expect(202, "PATCH", scene.alice.start(), first).headers["location"]
    scene.registry.leave_writers_behind()
    scene.alice.expect(202, "PATCH", location, second)
    scene.alice.expect(201, "PUT", f"{location}?digest={digest_of(scene.image.layer)}", b"")


def be_refused_a_chunk(scene: Scene) -> None:
    """Send a second chunk that is not as long as it says."""
    location = scene.alice.expect(202, "PATCH", scene.alice.start(), b"12345").headers["location"]
    scene.alice.send("PATCH", location, b"67", **{"Content-Range": "5-9"})


def push_config(scene: Scene) -> None:
    scene.alice.upload_whole(scene.image.config)


def delete_config(scene: Scene) -> None:
    scene.alice.expect(202, "DELETE", f"blobs/{digest_of(scene.image.config)}")


def delete_tag(scene: Scene) -> None:
    scene.alice.expect(202, "DELETE", "manifests/v1")


def delete_manifest(scene: Scene) -> None:
    scene.alice.expect(202, "DELETE", f"manifests/{digest_of(scene.image.payload)}")


def leave_refuse(scene: Scene) -> None:
    """Leave what a collection removes: a manifest without a tag, an upload that nobody goes on with."""
    push(scene)
    delete_tag(scene)
    location = scene.alice.start()
    for part in (b"begun", b" and left"):
        location = scene.alice.expect(202, "PATCH", location, part).headers["location"]
    scene.registry.pass_time()


def fill_trash(scene: Scene) -> None:
    """Leave objects in the trash that may be deleted."""
    leave_refuse(scene)
    assert scene.commands.run(*COLLECT).status == 0
    scene.registry.pass_time()


def leave_old_tag(scene: Scene) -> None:
    """Leave two tags of which a policy keeps the newer one."""
    push(scene)
    scene.alice.push(scene.image, "v2")
    policy = f"Retention.objects.create(repositories={scene.alice.repository!r}, keep_last=1)"
    made = scene.commands.run("shell", "-c", f"from policies.models import Retention; {policy}")
    assert made.status == 0, made.output


# What is done before the kill, and the requests in which it happens.
SERVING: dict[str, tuple[Act, Act]] = {
    **{name: (nothing, push) for name in NAMES if name.startswith(("upload.", "mount."))},
    "upload.before_take_over_commit": (nothing, push_over_a_stuck_writer),
    "upload.after_assembly_claim": (nothing, push_over_a_stuck_writer),
    "upload.after_assembly": (nothing, push_over_a_stuck_writer),
    "upload.after_cut_back": (nothing, be_refused_a_chunk),
    "upload.before_cancel_commit": (nothing, cancel),
    "upload.after_cancel_commit": (nothing, cancel),
    "manifest.before_put_commit": (nothing, push),
    "manifest.after_put_commit": (nothing, push),
    "manifest.before_delete_commit": (push, delete_manifest),
    "manifest.after_delete_commit": (push, delete_manifest),
    "tag.before_delete_commit": (push, delete_tag),
    "tag.after_delete_commit": (push, delete_tag),
    "blob.before_delete_commit": (push_config, delete_config),
    "blob.after_delete_commit": (push_config, delete_config),
}
# What is done before the kill of a command that collects.
COLLECTING: dict[str, Act] = {
    **{name: leave_refuse for name in NAMES if name.startswith("collect.")},
    **{name: leave_old_tag for name in NAMES if name.startswith("retention.")},
    **{name: fill_trash for name in NAMES if name.startswith("trash.")},
}
# Steps of a backup, which changes nothing of the registry but its lease.
BACKING_UP = [name for name in NAMES if name.startswith("backup.")]
# Steps of commands that need another database or storage, and of writes to S3: tests/database_copy, tests/storage_copy
# and test_kill_s3 kill them at each.
ELSEWHERE = [
    name for name in NAMES if name.startswith(("migratedb.", "migratestorage.", "multipart.", "start.", "webhook."))
]
# What is done before the kill of a command that deletes the repository.
DELETING: dict[str, Act] = {name: push for name in NAMES if name.startswith("repository.")}
# A step that only another fault leads to.
WITH = {"upload.before_abandon": "upload.write=error:EIO; "}


@pytest.fixture
def scene(request: pytest.FixtureRequest, registry: Registry, commands: Commands) -> Scene:
    """Give each failpoint a repository and an image of its own."""
    name: str = request.node.callspec.params["name"]
    alice = Pusher(registry, f"alice/{name.replace('.', '/')}")
    return Scene(registry, commands, alice, Artifact(KEPT.shared, (name.encode(), b" happened")))


def assert_recovered(scene: Scene) -> None:
    """Push again as the client does, and find a registry in which nothing is lost and nothing is left over."""
    scene.alice.push(scene.image)
    checked = scene.commands.run("fsck", "--deep")
    scene.collect()
    keys = scene.registry.keys()

    assert (checked.status, checked.output) == (0, "no problems\n")
    assert scene.alice.pull(scene.image)
    assert Pusher(scene.registry, SHARED).pull(KEPT, "kept")
    assert scene.registry.objects() == keys["blobs"]
    assert [kind for kind in ("segments", "uploads", "trash") if keys[kind]] == []


def test_each_failpoint_has_a_kill() -> None:
    assert SERVING.keys() | COLLECTING.keys() | DELETING.keys() | {*BACKING_UP, *ELSEWHERE} == NAMES.keys()


@pytest.mark.parametrize("name", SERVING)
def test_a_worker_killed_at_any_step_loses_and_leaves_nothing(scene: Scene, name: str) -> None:
    before, deed = SERVING[name]
    before(scene)
    scene.registry.arm(f"{WITH.get(name, '')}{name}=kill")
    (worker,) = scene.registry.workers()

    with pytest.raises(CONNECTION_ERRORS):
        deed(scene)

    scene.registry.wait_for_another(worker)
    assert_recovered(scene)


@pytest.mark.parametrize("name", COLLECTING)
def test_a_collection_killed_at_any_step_loses_and_leaves_nothing(scene: Scene, name: str) -> None:
    COLLECTING[name](scene)

    killed = scene.commands.run(*COLLECT, failpoints=f"{name}=kill")

    assert killed.status == -signal.SIGKILL, killed.output
    assert_recovered(scene)


@pytest.mark.parametrize("name", BACKING_UP)
def test_a_backup_killed_at_any_step_leaves_a_whole_one_and_the_next_goes_on(
    scene: Scene, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    assert scene.commands.run("backup", str(folder)).status == 0
    push(scene)

    killed = scene.commands.run("backup", str(folder), failpoints=f"{name}=kill")
    left_whole = is_whole(folder)
    ended = scene.commands.run("backup", str(folder))

    assert killed.status == -signal.SIGKILL, killed.output
    assert left_whole
    assert ended.status == 0, ended.output
    assert is_whole(folder)
    assert {str(path.relative_to(folder)) for path in folder.glob("objects/*/*")} == scene.registry.keys()["blobs"]
    assert len(list(folder.glob("20*"))) == 1
    assert_recovered(scene)


def is_whole(folder: Path) -> bool:
    """Return whether all that the backup in `folder` consists of is there, bit for bit."""
    said = json.loads((folder / "backup.json").read_text())
    state = folder / said["state"]
    lines = [line.split("\t") for line in (state / "objects.tsv").read_text().splitlines()]
    objects = [f"sha256:{sha256((folder / key).read_bytes()).hexdigest()}" == digest for key, _, digest in lines]
    database = sha256((state / "database").read_bytes()).hexdigest() == said["database_sha256"]
    return database and len(objects) == said["objects"] and all(objects)


@pytest.mark.parametrize("name", DELETING)
def test_a_deletion_killed_at_any_step_is_finished_and_loses_nothing_else(scene: Scene, name: str) -> None:
    DELETING[name](scene)

    killed = scene.commands.run("deleterepository", scene.alice.repository, failpoints=f"{name}=kill")

    assert killed.status == -signal.SIGKILL, killed.output
    assert_recovered(scene)
