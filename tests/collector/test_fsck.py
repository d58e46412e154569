"""`manage.py fsck`: what is broken is found, named and, where that is possible, mended."""

import errno
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from distribution.models import Blob, Link, Manifest, ManifestBlob, Tag, Trash
from distribution.storage.blob_store import BlobStore
from tests.caller import Caller
from tests.collector.runs import collect, pass_time
from tests.collector.storage import objects, objects_named_by_rows
from tests.images import Image, digest_of, index, push_blob, put_manifest
from tests.storages import object_file

APP = "alice/app"
Push = Callable[..., Image]


def fsck(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit status and what it printed."""
    output = io.StringIO()
    try:
        call_command("fsck", *arguments, stdout=output)
    except SystemExit as end:
        return int(str(end.code)), output.getvalue()
    return 0, output.getvalue()


def _path(digest: str) -> Path:
    """Return where the bytes of a blob lie."""
    return object_file(Blob.objects.get(digest=digest).key)


def test_a_registry_that_is_well_has_no_problems(push: Push, alice: Caller) -> None:
    image = push(APP, "v1")
    put_manifest(alice, APP, "all", index(image.payload))
    push(APP, "v2", b"removed")
    alice.delete(f"/v2/{APP}/manifests/v2")
    alice.patch(alice.post(f"/v2/{APP}/blobs/uploads/")["Location"], b"unfinished")
    pass_time(timedelta(hours=25))
    collect()

    assert fsck("--deep") == (0, "no problems\n")


def test_a_missing_object_is_found_and_a_push_heals_the_blob(push: Push, alice: Caller) -> None:
    image = push(APP, "v1", b"lost")
    _path(image.layers[0]).unlink()
    status, output = fsck("--repair")

    assert (status, "is missing: answers 404 until a push heals it" in output) == (1, True)
    assert alice.head(f"/v2/{APP}/blobs/{image.layers[0]}").status_code == 404
    push_blob(alice, APP, b"lost")
    assert fsck("--deep") == (0, "no problems\n")


def test_an_object_of_another_size_is_found(push: Push) -> None:
    image = push(APP, "v1", b"whole")
    _path(image.layers[0]).write_bytes(b"who")

    status, output = fsck()

    assert status == 1
    assert f"blob {image.layers[0]}: its object" in output
    assert "has 3 bytes instead of 5" in output


def test_a_flipped_byte_is_found_by_a_deep_check_only(push: Push) -> None:
    image = push(APP, "v1", b"bytes")
    _path(image.layers[0]).write_bytes(b"bytez")

    assert fsck()[0] == 0
    assert "has other bytes" in fsck("--deep")[1]


def test_an_object_that_the_disk_cannot_read_is_found_and_the_check_goes_on(
    push: Push, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push(APP, "v1", b"bytes")
    _path(image.config).write_bytes(b"x" * _path(image.config).stat().st_size)
    broken, open_at = Blob.objects.get(digest=image.layers[0]).key, BlobStore.open_at

    def fail(store: BlobStore, key: str, offset: int = 0, size: int | None = None) -> IO[bytes]:
        if key == broken:
            raise OSError(errno.EIO, "Input/output error")
        return open_at(store, key, offset, size)

    monkeypatch.setattr(BlobStore, "open_at", fail)

    status, output = fsck("--deep", "--repair")

    assert status == 1
    assert "can't be read from the disk: answers 404 until a push heals it" in output
    assert "has other bytes" in output


def test_a_check_without_repair_changes_nothing(push: Push) -> None:
    image = push(APP, "v1", b"bytes")
    _path(image.layers[0]).unlink()

    fsck()

    assert not Blob.objects.filter(is_corrupt=True).exists()


def test_a_blob_marked_corrupt_by_mistake_is_cleared_by_a_deep_check(push: Push) -> None:
    push(APP, "v1")
    Blob.objects.update(is_corrupt=True)

    assert fsck()[0] == 1
    assert fsck("--deep", "--repair")[0] == 0
    assert fsck() == (0, "no problems\n")


def test_an_orphan_is_found_and_goes_by_the_trash(push: Push) -> None:
    push(APP, "v1")
    object_file("objects/ab/orphan").touch()

    assert "object objects/ab/orphan: no row names it" in fsck()[1]
    assert fsck("--repair")[0] == 0
    pass_time(timedelta(hours=1))
    collect()
    assert objects() == objects_named_by_rows()


def test_an_object_in_use_is_taken_out_of_the_trash(push: Push) -> None:
    push(APP, "v1")
    key = Blob.objects.all()[0].key
    Trash.objects.create(key=key, delete_after=Now())

    assert "in the trash and in use" in fsck()[1]
    assert fsck("--repair")[0] == 0
    assert not Trash.objects.exists()


def test_a_row_that_looks_in_use_and_is_not_is_mended(push: Push) -> None:
    push(APP, "v1")
    Tag.objects.all().delete()

    status, output = fsck()

    assert (status, "looks in use and is not" in output) == (1, True)
    assert fsck("--repair")[0] == 0
    assert Manifest.objects.get().is_unreferenced


def test_a_row_that_looks_unused_and_is_in_use_is_mended(push: Push) -> None:
    push(APP, "v1")
    Link.objects.update(is_unreferenced=True)

    assert "link to blob" in fsck("--repair")[1]
    assert not Link.objects.filter(is_unreferenced=True).exists()


def test_a_blob_that_no_repository_links_is_removed(prepared: None) -> None:
    object_file("objects/ab/alone").write_bytes(b"x")
    Blob.objects.create(digest=digest_of(b"x"), size=1, key="objects/ab/alone")

    assert "no repository links it" in fsck()[1]
    assert fsck("--repair")[0] == 0
    assert Trash.objects.get().key == "objects/ab/alone"


def test_a_manifest_with_another_payload_is_found(push: Push) -> None:
    push(APP, "v1")
    Manifest.objects.update(payload=b"{}")

    assert "its payload has another digest" in fsck("--repair")[1]


def test_a_manifest_that_lacks_a_blob_is_found(push: Push) -> None:
    image = push(APP, "v1")
    ManifestBlob.objects.filter(link__blob__digest=image.layers[0]).delete()

    status, output = fsck("--repair")

    assert status == 1
    assert f"it names {image.layers[0]}, for which there is no row" in output


def test_a_tag_of_another_repository_is_found(push: Push) -> None:
    push(APP, "v1")
    push("alice/other", "v2")
    Tag.objects.filter(name="v1").update(repository=F("repository"), manifest=Manifest.objects.latest("pk"))

    assert "tag" in fsck()[1]


def test_a_storage_that_is_not_there_is_no_reason_to_forget_blobs(db: None) -> None:
    with pytest.raises(CommandError, match="has no folder `objects`: is the disk mounted"):
        fsck("--repair")


@pytest.mark.django_db(transaction=True)
def test_the_database_itself_is_checked(prepared: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has no way around its foreign keys")
    with connection.constraint_checks_disabled():
        link = Link.objects.create(repository_id=1, blob_id=1, last_used_at=Now(), is_unreferenced=True)

    with pytest.raises(CommandError, match="foreign key"):
        fsck()
    link.delete()
