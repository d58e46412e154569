"""`manage.py backup`: what is in the folder afterwards, and after the next time."""

import errno
import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from pytest_django.fixtures import Settings

from backup.create import Backup, create
from backup.errors import BackupError
from collector import lease
from collector.models import Job, Lease
from collector.throttle import StopError
from configuration.values import Reserve
from distribution.models import Blob, Trash, Upload
from tests.backup.conftest import BackUp
from tests.caller import Caller
from tests.collector.runs import collect, pass_time
from tests.images import Image
from tests.storages import object_file
from tokens.keys import ring

pytestmark = pytest.mark.django_db(transaction=True)

Push = Callable[..., Image]


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return what is complete in the folder."""
    values: dict[str, Any] = json.loads((folder / "backup.json").read_text())
    return values


def objects_in(folder: Path) -> dict[str, bytes]:
    """Return the objects of the backup by their keys."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("objects/*/*")}


def stored() -> dict[str, bytes]:
    """Return what the storage has for each blob."""
    keys = Blob.objects.values_list("key", flat=True)
    return {key: object_file(key).read_bytes() for key in keys}


def test_every_blob_is_in_the_backup(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1")

    back_up()

    assert objects_in(folder) == stored()
    assert manifest_of(folder)["objects"] == 2


def test_objects_are_linked_where_that_can_be(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1")

    said = back_up()

    assert "2 linked, 0 copied, 0 there already, 0 removed" in said[1]
    assert {path.stat().st_nlink for path in folder.glob("objects/*/*")} == {2}


def test_a_backup_leaves_the_room_that_the_registry_keeps_on_its_own_disk(
    push: Push, back_up: BackUp, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    back_up()
    before = manifest_of(folder)
    section = replace(settings.REGISTRY.storage, min_free=Reserve(2**62, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=section)

    with pytest.raises(
        CommandError, match=r"which has .* free, less than the .* that it keeps \(storage\.min_free\)"
    ) as error:
        back_up()

    assert "name a folder on another disk" in str(error.value)
    assert manifest_of(folder) == before
    assert objects_in(folder) == stored()
    # Nothing of the one that was begun.
    assert [path.name for path in folder.iterdir() if path.name.endswith("Z")] == [before["state"]]


@pytest.fixture
def another_mount(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have the folder on the disk of the registry by another mount, and so many bytes free above `min_free`."""
    kept = 64 * 2**20
    section = replace(settings.REGISTRY.storage, min_free=Reserve(kept, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=section)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)

    def free(size: int) -> None:
        disk = SimpleNamespace(f_frsize=1, f_blocks=2**30, f_bavail=kept + size, f_bfree=kept + size)
        monkeypatch.setattr(os, "statvfs", lambda _path: disk)

    return free


def test_copies_that_would_take_the_room_of_the_registry_are_not_begun(
    push: Push, back_up: BackUp, folder: Path, another_mount: Callable[[int], None]
) -> None:
    push("alice/app", "v1", b"x" * 3_000_000)
    another_mount(5_999_999)

    with pytest.raises(CommandError, match=r"of which the registry keeps 64\.0 MiB \(storage\.min_free\)"):
        back_up()

    assert objects_in(folder) == {}
    another_mount(7_000_000)
    assert "0 linked, 2 copied" in back_up()[1]


@pytest.mark.parametrize("has_one_before", [False, True])
def test_a_backup_that_runs_out_of_room_gives_back_what_it_took(
    push: Push, folder: Path, another_mount: Callable[[int], None], *, has_one_before: bool
) -> None:
    push("alice/app", "v1")
    another_mount(2**20)
    if has_one_before:
        create(folder, Backup(), lambda: None)
    before = objects_in(folder)
    push("alice/app", "v2", b"another layer")
    backup = Backup()

    def fill() -> None:
        if backup.counts.copied == 2:
            another_mount(-1)

    with pytest.raises(BackupError, match="what this backup had copied is removed"):
        create(folder, backup, fill)

    assert backup.counts.copied == 2
    assert len(before) == (2 if has_one_before else 0)
    assert {str(path.relative_to(folder)) for path in folder.glob("objects/*/*")} == set(before)


def test_a_backup_that_is_stopped_leaves_no_half_copies(
    push: Push, folder: Path, another_mount: Callable[[int], None]
) -> None:
    push("alice/app", "v1")
    another_mount(2**20)
    backup = Backup()

    def stop() -> None:
        if backup.counts.copied:
            raise StopError

    with pytest.raises(StopError):
        create(folder, backup, stop)

    assert backup.counts.copied == 1
    assert objects_in(folder) == {}


def test_objects_are_copied_where_they_cannot_be_linked(
    push: Push, back_up: BackUp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1", b"x" * 3_000_000)
    another_disk = Path("/dev/shm")
    if not os.access(another_disk, os.W_OK) or another_disk.stat().st_dev == object_file("").stat().st_dev:
        pytest.skip("there is no other file system")
    folder.symlink_to(another_disk / f"registry-backup-{os.getpid()}")
    folder.resolve().mkdir()

    try:
        said = back_up()
        copied = objects_in(folder)
    finally:
        _remove(folder.resolve())

    assert "0 linked, 2 copied" in said[1]
    assert copied == stored()


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_a_second_run_copies_what_is_new_and_removes_what_went(
    push: Push, back_up: BackUp, folder: Path, alice: Caller
) -> None:
    push("alice/app", "v1", b"stays")
    push("alice/app", "v2", b"goes")
    back_up()
    alice.delete("/v2/alice/app/manifests/v2")
    pass_time()
    collect()
    push("alice/app", "v3", b"comes")

    said = back_up()

    assert "2 linked, 0 copied, 2 there already, 2 removed" in said[1]
    assert objects_in(folder) == stored()
    assert len([path for path in folder.iterdir() if path.name.startswith("20")]) == 1


def test_an_object_of_another_size_is_replaced(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1")
    back_up()
    broken = next(folder.glob("objects/*/*"))
    broken.unlink()
    broken.write_bytes(b"half")

    said = back_up()

    assert "1 linked, 0 copied, 1 there already" in said[1]
    assert objects_in(folder) == stored()


def test_nobody_else_may_read_a_backup(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1")
    folder.mkdir(mode=0o755)

    back_up()

    (state,) = folder.glob("20*")
    for path in (folder, state, state / "database", state / "config.yaml", *(state / "keys").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_keys_and_configuration_are_in_the_backup(
    push: Push, back_up: BackUp, folder: Path, settings: Settings
) -> None:
    push("alice/app", "v1")

    back_up()

    (state,) = folder.glob("20*")
    names = {"registry.key", "registry.next.key", "registry.pub", "secret.key"}
    place = settings.REGISTRY.server.data_directory / "keys"
    assert {path.name: path.read_bytes() for path in (state / "keys").iterdir()} == {
        name: (place / name).read_bytes() for name in names
    }
    assert (state / "config.yaml").read_bytes() == settings.REGISTRY.path.read_bytes()


def test_keys_have_their_usual_names_wherever_they_lie(
    prepared: None, back_up: BackUp, folder: Path, settings: Settings, tmp_path: Path
) -> None:
    auth = replace(
        settings.REGISTRY.auth, private_key=tmp_path / "my" / "signer.pem", public_key=tmp_path / "signer.txt"
    )
    settings.REGISTRY = replace(settings.REGISTRY, auth=auth)
    ring.ensure_keys()

    back_up()

    (state,) = folder.glob("20*")
    assert (state / "keys" / "registry.key").read_bytes() == (tmp_path / "my" / "signer.pem").read_bytes()
    assert (state / "keys" / "registry.next.key").read_bytes() == (tmp_path / "my" / "signer.next.pem").read_bytes()
    assert (state / "keys" / "registry.pub").read_bytes() == (tmp_path / "signer.txt").read_bytes()


def test_what_only_the_server_needs_is_not_in_the_copy(
    push: Push, back_up: BackUp, folder: Path, alice: Caller
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a restore forgets it on PostgreSQL")
    push("alice/app", "v1")
    alice.patch(alice.post("/v2/alice/app/blobs/uploads/")["Location"], b"begun")
    Trash.objects.create(key="objects/ab/thrown-away", delete_after="2030-01-01T00:00:00Z")

    back_up()

    (copy,) = folder.glob("20*/database")
    with closing(sqlite3.connect(copy)) as database:
        tables = ("distribution_upload", "distribution_segment", "distribution_trash", "gc_lease")
        counts = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert counts == [0, 0, 0, 0]
    assert Upload.objects.exists()


def test_nothing_that_the_copy_names_is_deleted_meanwhile(push: Push, folder: Path, alice: Caller) -> None:
    image = push("alice/app", "v1")
    kept, backup, is_collected = stored(), Backup(), False

    def collect_all() -> None:
        nonlocal is_collected
        if backup.step == "objects" or is_collected:
            return
        if backup.totals.objects:
            is_collected = True
            alice.delete(f"/v2/alice/app/manifests/{image.digest}")
            for _ in range(2):
                pass_time()
                collect()

    create(folder, backup, collect_all)

    assert is_collected
    assert not Blob.objects.exists()
    assert objects_in(folder) == kept


def test_the_trash_is_emptied_once_the_backup_is_made(push: Push, back_up: BackUp, alice: Caller) -> None:
    image = push("alice/app", "v1")
    back_up()
    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    reports = []
    for _ in range(2):
        pass_time()
        reports.append(collect())

    assert [report.objects for report in reports] == [0, 2]


def test_a_second_backup_at_once_is_told_who_makes_the_first(push: Push, back_up: BackUp) -> None:
    push("alice/app", "v1")

    with (
        lease.acquire(Job.BACKUP),
        pytest.raises(CommandError, match=r"Another backup is being made: .*process \d+") as refused,
    ):
        back_up()

    assert refused.value.returncode == 3


def test_a_backup_that_lost_its_lease_is_given_up(
    push: Push, back_up: BackUp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    back_up()
    before, backup = manifest_of(folder), Backup()
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)

    def lose() -> None:
        Lease.objects.all().delete()

    with pytest.raises(StopError, match="another process took over"):
        create(folder, backup, lose)

    assert manifest_of(folder) == before
    assert len(list(folder.glob("20*"))) == 1


def test_a_lost_object_fails_the_backup_and_is_named(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1", b"stays")
    back_up()
    before = manifest_of(folder)
    lost = push("alice/app", "v2", b"lost")
    object_file(Blob.objects.get(digest=lost.layers[0]).key).unlink()

    with pytest.raises(CommandError) as refused:
        back_up()

    assert f"blob {lost.layers[0]}: its object" in str(refused.value)
    assert "fsck --repair" in str(refused.value)
    assert manifest_of(folder) == before


def test_a_blob_that_is_marked_corrupt_keeps_nobody_from_a_backup(push: Push, back_up: BackUp, folder: Path) -> None:
    lost = push("alice/app", "v1", b"lost")
    blob = Blob.objects.get(digest=lost.layers[0])
    object_file(blob.key).unlink()
    Blob.objects.filter(pk=blob.pk).update(is_corrupt=True)

    back_up()

    assert manifest_of(folder)["objects"] == 1


def test_a_damaged_database_replaces_no_backup(
    push: Push, back_up: BackUp, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL checks by itself")
    push("alice/app", "v1")
    back_up()
    before = manifest_of(folder)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA writable_schema = ON")
        cursor.execute("UPDATE sqlite_master SET rootpage = rootpage + 1 WHERE name = 'distribution_catalog'")
        cursor.execute("PRAGMA writable_schema = OFF")
    try:
        with pytest.raises(CommandError):
            back_up()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA writable_schema = ON")
            cursor.execute("UPDATE sqlite_master SET rootpage = rootpage - 1 WHERE name = 'distribution_catalog'")
            cursor.execute("PRAGMA writable_schema = OFF")

    assert manifest_of(folder) == before


def test_a_bucket_is_left_to_its_provider_and_the_rest_is_backed_up(
    push: Push, back_up: BackUp, folder: Path, settings: Settings
) -> None:
    push("alice/app", "v1")
    in_memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = settings.STORAGES | {"blobs": in_memory}
    settings.REGISTRY = replace(settings.REGISTRY, storage=replace(settings.REGISTRY.storage, backend="s3"))

    said = back_up()

    assert "in s3, NOT copied" in said[1]
    assert (manifest_of(folder)["storage"], objects_in(folder)) == ("s3", {})
    assert next(folder.glob("20*/database")).stat().st_size
