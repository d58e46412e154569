"""What happens to rows beside a pass: blobs that a collector removes, and keys that no row names."""

from pathlib import Path

import pytest

from distribution.models import Blob, Link, Segment, Trash
from distribution.storage.blob_store import BlobStore, blob_store
from distribution.storage.local import DurableFileSystemStorage
from storage_copy import run, source
from storage_copy.progress import Progress
from storage_copy.source import Folder
from tests.caller import Caller
from tests.images import digest_of


@pytest.fixture
def target(tmp_path: Path) -> BlobStore:
    store = BlobStore(DurableFileSystemStorage(location=str(tmp_path / "target")))
    store.prepare()
    return store


def passed(target: BlobStore, *, is_quiet: bool) -> Progress:
    progress = Progress()
    run._Pass(target, progress, lambda: None, is_quiet=is_quiet).run(verifies=False)
    return progress


def push(alice: Caller, content: bytes) -> Blob:
    digest = digest_of(content)
    assert alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest}", content).status_code == 201
    return Blob.objects.get(digest=digest)


@pytest.mark.parametrize("is_removed", [True, False])
def test_an_object_that_the_collector_deletes_meanwhile_is_no_fault(
    alice: Caller, target: BlobStore, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    push(alice, b"bytes")
    real = source.folder

    def folder(name: str) -> Folder:
        found = real(name)
        for blob in found.blobs:
            blob_store().delete(blob.pieces[0].key)
            if is_removed:
                Link.objects.all().delete()
                Blob.objects.all().delete()
        return found

    monkeypatch.setattr(source, "folder", folder)

    progress = passed(target, is_quiet=False)

    assert (progress.faults == []) == is_removed
    assert progress.total == (0 if is_removed else 1)


def test_a_blob_that_is_marked_corrupt_is_counted_and_left_out(alice: Caller, target: BlobStore) -> None:
    push(alice, b"sound")
    corrupt = push(alice, b"corrupt")
    Blob.objects.filter(pk=corrupt.pk).update(is_corrupt=True)

    progress = passed(target, is_quiet=True)

    assert (progress.copied, progress.corrupt, progress.faults) == (1, 1, [])


@pytest.mark.parametrize("is_quiet", [True, False])
def test_an_object_that_no_row_names_any_more_gets_into_the_trash(
    alice: Caller, target: BlobStore, is_quiet: bool
) -> None:
    """Not beside a server, which may be about to name it."""
    push(alice, b"kept")
    begun = alice.post("/v2/alice/app/blobs/uploads/")
    alice.patch(begun["Location"], b"begun")
    thrown = push(alice, b"thrown away")
    passed(target, is_quiet=True)
    Link.objects.filter(blob=thrown).delete()
    thrown.delete()

    progress = passed(target, is_quiet=is_quiet)

    assert progress.orphans == is_quiet
    assert list(Trash.objects.values_list("key", flat=True)) == [thrown.key] * is_quiet


def test_an_upload_that_went_on_is_copied_again(alice: Caller, target: BlobStore) -> None:
    begun = alice.patch(alice.post("/v2/alice/app/blobs/uploads/")["Location"], b"begun")
    passed(target, is_quiet=True)
    alice.patch(begun["Location"], b" and on")

    progress = passed(target, is_quiet=True)

    # A file, or on S3 an object of each chunk; those of an upload are copied together.
    keys = list(Segment.objects.order_by("pk").values_list("key", flat=True))
    received = b""
    for key in keys:
        with target.open_at(key) as file:
            received += file.read()
    assert received == b"begun and on"
    assert (progress.copied, progress.faults) == (len(keys), [])
