"""`manage.py migratestorage`: every object gets into the other storage, verified, or the command says which did not."""

import fcntl
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from core.failpoints import NAMES
from distribution.storage.copy_mark import COPY
from storage_copy.management.commands.migratestorage import COPY_LOCK
from tests.faults.pusher import Artifact
from tests.images import digest_of
from tests.ports import free_port
from tests.project.starting import start
from tests.s3.refusing import refusing
from tests.storage_copy.conftest import Folder, MovingPlace, Pushed, blob_of

STEPS = [name for name in NAMES if name.startswith("migratestorage.")]
# In the middle of the second object, and between its bytes and its name; before come two probes and the mark.
IN_AN_OBJECT = ["upload.write=kill@5", "upload.fsync=kill@5"]


def copied(source: MovingPlace, target: Folder, *words: str) -> str:
    status, said = source.migrate(target.storage, *words)
    assert status == 0, said
    return said


def spoil(file: Path) -> bytes:
    """Change the first byte of a file and return what it had."""
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    return content


def mtimes(target: Folder) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in target.path.glob("objects/*/*")}


def test_a_stopped_registry_goes_on_in_the_other_folder(place: MovingPlace, target: Folder) -> None:
    place.start()
    image = Artifact(b"shared", (b"one ", b"and another"))
    alice = place.pusher()
    alice.upload_whole(image.shared)
    alice.push(image)
    begun = alice.expect(202, "PATCH", alice.start(), b"begun ").headers["location"]
    place.end()

    said = copied(place, target)
    place.switch(target.storage)
    place.data.rename(place.folder / "old")
    place.start()
    ended = alice.expect(202, "PATCH", begun, b"and ended").headers["location"]
    alice.expect(201, "PUT", f"{ended}?digest={digest_of(b'begun and ended')}", b"")

    assert "complete: switch storage in" in said
    assert alice.pull(image)
    assert alice.send("GET", f"blobs/{digest_of(b'begun and ended')}").body == b"begun and ended"
    assert place.does("fsck", "--deep") == "no problems\n"
    assert_takes_no_other_copy(place, target)


def assert_takes_no_other_copy(place: MovingPlace, target: Folder) -> None:
    """Find that the server has made the copy its own: one from the old storage would be stale."""
    place.switch({"filesystem": {"rootdirectory": str(place.folder / "old")}})
    status, said = place.migrate(target.storage)

    assert (status, "has objects already, of this or another registry, and no mark of a copy" in said) == (1, True)


def test_pushes_beside_a_copy_are_copied_by_the_last_run(place: MovingPlace, target: Folder) -> None:
    place.start()
    alice = place.pusher()
    alice.upload_whole(b"shared")
    alice.push(Artifact(b"shared", (b"first",)), "v1")

    status, said = place.migrate(target.storage)
    alice.push(Artifact(b"shared", (b"second",)), "v2")
    elsewhere = migrate_as_another_server(place, target)
    alice.push(Artifact(b"shared", (b"third",)), "v3")
    place.end()
    last = copied(place, target)

    assert status == 4
    assert "is in use, so pushes go on; run this again whenever you like" in said
    assert "registry.sqlite3 open" in elsewhere or "a session of the registry is open in PostgreSQL" in elsewhere
    assert "copied 2 objects" in last
    assert target.contents() == place.contents()


def migrate_as_another_server(place: MovingPlace, target: Folder) -> str:
    """Copy by the configuration of a replica, at whose address nothing listens: only the database is in use."""
    host, place.host = place.host, f"127.0.0.1:{free_port()}"
    place.switch(place.storage)
    place.host = host
    status, said = place.migrate(target.storage)
    place.switch(place.storage)

    assert status == 4
    return said


@pytest.mark.parametrize("failpoints", [*(f"{step}=kill" for step in STEPS), *IN_AN_OBJECT])
def test_a_copy_killed_at_any_step_is_continued(source: MovingPlace, target: Folder, failpoints: str) -> None:
    killed, _ = source.migrate(target.storage, failpoints=failpoints)
    is_less = len(target.contents()) < len(source.contents())
    copied(source, target)

    assert killed == -signal.SIGKILL
    assert is_less == (failpoints != "migratestorage.before_complete=kill")
    assert target.contents() == source.contents()
    assert [path.name for path in target.path.iterdir() if path.name.startswith("partial-")] == []


def test_a_kill_leaves_no_part_of_an_object_under_its_key(source: MovingPlace, target: Folder) -> None:
    source.migrate(target.storage, failpoints="upload.fsync=kill@5")

    assert target.contents().items() <= source.contents().items()


def test_a_server_refuses_an_unfinished_copy(source: MovingPlace, target: Folder) -> None:
    before = source.storage
    source.migrate(target.storage, failpoints="migratestorage.before_complete=kill")
    source.switch(target.storage)
    try:
        ended = start(source.folder)
        checked = source.refuses("fsck")
    finally:
        source.switch(before)

    assert ended.returncode == 1
    assert "storage: an unfinished copy of another storage, or pushes went on after it; run `manage.py" in ended.stderr
    assert "an unfinished copy" in checked


def test_a_server_refuses_the_copy_of_another_registry(source: MovingPlace, target: Folder) -> None:
    copied(source, target)
    give_away(target)
    before = source.storage
    source.switch(target.storage)
    try:
        ended = start(source.folder)
    finally:
        source.switch(before)

    assert ended.returncode == 1
    assert "storage: the copy of another registry, whose database was sqlite:///theirs; the database" in ended.stderr
    assert (target.path / COPY).exists()


def test_pushes_after_a_complete_copy_need_another_run(place: MovingPlace, target: Folder) -> None:
    place.start()
    alice = place.pusher()
    place.end()
    copied(place, target)
    old = place.storage
    place.start()
    alice.upload_whole(b"late")
    place.end()

    place.switch(target.storage)
    refused = start(place.folder)
    place.switch(old)
    said = copied(place, target)
    place.switch(target.storage)
    place.start()

    assert (refused.returncode, "pushes went on after it" in refused.stderr) == (1, True)
    assert "copied 1 object," in said
    assert alice.send("GET", f"blobs/{digest_of(b'late')}").body == b"late"


def give_away(target: Folder) -> None:
    """Let the mark of the copy name another registry."""
    mark = json.loads((target.path / COPY).read_text())
    (target.path / COPY).write_text(json.dumps(mark | {"registry": "another", "database": "sqlite:///theirs"}))


def test_an_object_with_other_bytes_is_named_and_not_copied(
    stopped: Pushed, source: MovingPlace, target: Folder
) -> None:
    blob = blob_of(source, digest_of(stopped.image.layer))
    spoil(blob.file)

    status, said = source.migrate(target.storage)

    key = str(blob.file.relative_to(source.data))
    assert status == 1
    assert f"blob {blob.digest}: its object {key} has other bytes" in said
    assert "not complete: 1 object above can't be copied" in said
    assert target.contents().keys() == source.contents().keys() - {key}


@pytest.mark.parametrize(
    ("spoilt", "fault"), [(b"", "has 0 bytes instead of"), (b"x" * 100, "has more than"), (None, "is missing")]
)
def test_an_object_of_another_size_is_named_and_not_copied(
    stopped: Pushed, source: MovingPlace, target: Folder, spoilt: bytes | None, fault: str
) -> None:
    blob = blob_of(source, digest_of(stopped.image.layer))
    blob.file.unlink()
    if spoilt is not None:
        blob.file.write_bytes(spoilt)

    status, said = source.migrate(target.storage)

    key = str(blob.file.relative_to(source.data))
    assert (status, f"its object {key} {fault}" in said) == (1, True)
    assert key not in target.contents()


def test_an_open_upload_with_other_bytes_is_named(source: MovingPlace, target: Folder) -> None:
    ((key,),) = source.rows("SELECT key FROM distribution_segment WHERE size > 0")
    spoil(source.data / str(key))

    status, said = source.migrate(target.storage)

    assert (status, f"its object {key} has other bytes" in said) == (1, True)
    assert str(key) not in target.contents()


def test_what_is_there_is_not_copied_again(source: MovingPlace, target: Folder) -> None:
    copied(source, target)
    before = mtimes(target)

    said = copied(source, target)

    assert "copied 0 objects, 0 B" in said
    assert mtimes(target) == before


def test_an_object_of_another_size_in_the_target_is_replaced(
    stopped: Pushed, source: MovingPlace, target: Folder
) -> None:
    copied(source, target)
    key = blob_of(source, digest_of(stopped.image.layer)).file.relative_to(source.data)
    (target.path / key).write_bytes(b"part")

    copied(source, target)

    assert target.contents() == source.contents()


def test_verify_reads_what_is_there_and_copies_it_again(stopped: Pushed, source: MovingPlace, target: Folder) -> None:
    copied(source, target)
    key = blob_of(source, digest_of(stopped.image.layer)).file.relative_to(source.data)
    spoil(target.path / key)
    without = copied(source, target)
    is_left = target.contents() != source.contents()

    said = copied(source, target, "--verify")

    assert "other bytes" not in without
    assert is_left
    assert f"in the target, its object {key} has other bytes" in said
    assert "1 object of the target had other bytes, and were copied again" in said
    assert target.contents() == source.contents()


@pytest.mark.parametrize("is_link", [False, True])
def test_the_storage_of_the_registry_is_refused(source: MovingPlace, tmp_path: Path, is_link: bool) -> None:
    path = source.data
    if is_link:
        path = tmp_path / "link"
        path.symlink_to(source.data)

    status, said = source.migrate({"filesystem": {"rootdirectory": str(path)}})

    assert (status, "this is the storage of the running configuration" in said) == (1, True)
    assert not list(source.data.glob("*.json"))


def test_a_folder_with_objects_is_refused_and_stays(source: MovingPlace, target: Folder) -> None:
    (target.path / "objects/ab").mkdir(parents=True)
    (target.path / "objects/ab/theirs").write_text("theirs")

    status, said = source.migrate(target.storage)

    assert (status, "has objects already" in said) == (1, True)
    assert target.contents() == {"objects/ab/theirs": b"theirs"}


def test_the_copy_of_another_registry_is_refused(source: MovingPlace, target: Folder) -> None:
    copied(source, target)
    give_away(target)

    status, said = source.migrate(target.storage)

    assert (status, "the copy of another registry, whose database was sqlite:///theirs" in said) == (1, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server: {workers: 2}", "storage: found nothing, expected this section"),
        ("storage: {filesystem: {rootdirectory: other, colour: red}}", "colour"),
        ("storage: {gcs: {bucket_name: other}}", "gcs"),
    ],
)
def test_a_file_that_names_no_storage_is_refused(source: MovingPlace, tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "target.yaml"
    file.write_text(text)

    status, said = source.migrate_by(file)

    assert (status, reason in said) == (1, True)


def test_a_missing_file_is_refused(source: MovingPlace, tmp_path: Path) -> None:
    status, said = source.migrate_by(tmp_path / "none.yaml")

    assert (status, "none.yaml" in said) == (1, True)


def test_a_second_copy_at_once_is_refused(source: MovingPlace, target: Folder) -> None:
    with locked(source):
        status, said = source.migrate(target.storage)

    assert (status, "another copy of this registry's storage is running" in said) == (3, True)


@contextmanager
def locked(place: MovingPlace) -> Iterator[None]:
    """Lock as another copy does: on PostgreSQL it may run on any machine."""
    if place.database_url.startswith("sqlite"):
        with (place.folder / "own" / "migratestorage.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    else:
        with psycopg.connect(place.database_url, autocommit=True) as session:
            session.execute("SELECT pg_advisory_lock(%s)", [COPY_LOCK])
            yield


def test_a_storage_that_refuses_to_write_is_refused(source: MovingPlace) -> None:
    with refusing(403, "AccessDenied", reads=True) as endpoint:
        s3 = {"bucket_name": "b", "endpoint_url": endpoint, "region_name": "us-east-1"}
        keys = {"access_key": "some", "secret_key": "secret-of-some", "addressing_style": "path"}

        status, said = source.migrate({"s3": s3 | keys})

    assert (status, "S3 refuses access to the bucket b" in said) == (1, True)
    assert "secret-of-some" not in said


def test_a_full_disk_ends_the_copy_and_the_next_run_continues(source: MovingPlace, target: Folder) -> None:
    status, said = source.migrate(target.storage, failpoints="upload.write=error:ENOSPC@5")
    copied(source, target)

    assert status == 1
    assert "The copy ended early:" in said
    assert "No space left on device; run it again, it continues" in said
    assert target.contents() == source.contents()
