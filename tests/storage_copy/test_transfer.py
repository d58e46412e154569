"""Transfers between storages that fail, without a registry."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from distribution.storage.blob_store import BlobStore, new_key
from distribution.storage.cloud import FULL, CloudError, Piece, Reader
from distribution.storage.local import CHUNK_BYTES, DurableFileSystemStorage
from storage_copy.progress import Progress
from storage_copy.source import Item
from storage_copy.transfer import THREADS, Outcome, Transfer


class FailingStore(BlobStore):
    """A store whose next writes fail with the error `fault`, after their first chunk."""

    fault: Callable[[], Exception] = OSError
    failures = 0

    def write_whole(self, key: str, reader: Reader) -> None:
        """Fail, or write."""
        if self.failures:
            self.failures -= 1
            reader.read(1)
            raise self.fault()
        super().write_whole(key, reader)


def store_in(folder: Path) -> FailingStore:
    store = FailingStore(DurableFileSystemStorage(location=str(folder)))
    store.prepare()
    return store


@pytest.fixture
def source(tmp_path: Path) -> BlobStore:
    return store_in(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> FailingStore:
    return store_in(tmp_path / "target")


def blob_in(store: BlobStore, content: bytes) -> Item:
    """Store a blob and return its item."""
    key = new_key()
    store.write(key, io.BytesIO(content))
    digest = hashlib.sha256(content).hexdigest()
    pieces = [Piece(key, len(content))]
    return Item("blob", pieces, "sha256", digest, is_exact=True, is_current=lambda: True)


def copied(
    source: BlobStore, target: BlobStore, *items: Item, watch: Callable[[], None] = lambda: None
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with Transfer(source, target, outcomes.append, Progress().move, watch) as transfer:
        for item in items:
            transfer.copy(item, replaces=False)
        transfer.finish()
    return outcomes


def read(store: BlobStore, key: str) -> bytes:
    with store.open_at(key) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
def test_an_object_of_any_size_is_copied(source: BlobStore, target: FailingStore, size: int) -> None:
    content = os.urandom(size)
    blob = blob_in(source, content)

    (outcome,) = copied(source, target, blob)

    assert outcome.fault == ""
    assert read(target, blob.pieces[0].key) == content


def test_a_cloud_that_answers_late_is_asked_again(source: BlobStore, target: FailingStore) -> None:
    target.fault, target.failures = lambda: CloudError("busy", "S3 answers that it is busy"), 1
    blob = blob_in(source, b"bytes")

    (outcome,) = copied(source, target, blob)

    assert outcome.fault == ""
    assert read(target, blob.pieces[0].key) == b"bytes"


@pytest.mark.parametrize(("state", "pauses"), [("busy", [1, 2]), ("no answer", [6, 12])])
def test_a_cloud_that_gives_no_answer_is_asked_again_when_the_circuit_lets_it(
    source: BlobStore, target: FailingStore, monkeypatch: pytest.MonkeyPatch, state: str, pauses: list[float]
) -> None:
    target.fault, target.failures = lambda: CloudError(state, "S3 is not there"), 2
    waited: list[float] = []
    blob = blob_in(source, b"bytes")
    outcomes: list[Outcome] = []

    with Transfer(source, target, outcomes.append, Progress().move, lambda: None) as transfer:
        monkeypatch.setattr(transfer._stopped, "wait", waited.append)
        transfer.copy(blob, replaces=False)
        transfer.finish()

    assert (waited, outcomes[0].fault) == (pauses, "")


def test_a_cloud_that_answers_late_is_asked_again_when_it_is_verified(
    source: BlobStore, target: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = blob_in(source, b"bytes")
    copied(source, target, blob)
    real, faults = target.open_at, [CloudError("busy", "S3 answers that it is busy")]

    def open_at(key: str, offset: int = 0, size: int | None = None) -> IO[bytes]:
        if faults:
            raise faults.pop()
        return real(key, offset, size)

    monkeypatch.setattr(target, "open_at", open_at)
    outcomes: list[Outcome] = []
    with Transfer(source, target, outcomes.append, Progress().move, lambda: None) as transfer:
        transfer.verify(blob)
        transfer.finish()

    assert outcomes == [Outcome(blob, is_copied=False)]


def test_a_full_cloud_is_not_asked_again(source: BlobStore, target: FailingStore) -> None:
    target.fault, target.failures = lambda: CloudError(FULL, "S3 has no space left"), 1

    with pytest.raises(CloudError, match="no space left"):
        copied(source, target, blob_in(source, b"bytes"))


def test_one_that_fails_ends_all_others_with_its_own_error(source: BlobStore, target: FailingStore) -> None:
    target.fault, target.failures = lambda: OSError(28, "No space left on device"), 1
    blobs = [blob_in(source, f"{number}".encode()) for number in range(4 * THREADS)]

    with pytest.raises(OSError, match="No space left on device"):
        copied(source, target, *blobs)


def test_what_watch_raises_ends_the_copy(source: BlobStore, target: FailingStore) -> None:
    calls = 0

    def watch() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    blobs = [blob_in(source, f"{number}".encode()) for number in range(4 * THREADS)]

    with pytest.raises(KeyboardInterrupt):
        copied(source, target, *blobs, watch=watch)

    there = sum(len(target.sizes(f"objects/{number:02x}")) for number in range(256))
    assert there < len(blobs)


class FailingFile(io.BytesIO):
    """A file on a disk that fails."""

    def readinto(self, _view: object, /) -> int:
        """Fail as the kernel does."""
        raise OSError(5, "Input/output error")


def test_an_object_that_the_disk_does_not_read_is_named(
    source: BlobStore, target: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, sound = blob_in(source, b"bytes"), blob_in(source, b"sound")
    real = source.open_at

    def open_at(key: str, offset: int = 0, size: int | None = None) -> IO[bytes]:
        return FailingFile() if key == blob.pieces[0].key else real(key, offset, size)

    monkeypatch.setattr(source, "open_at", open_at)

    faults = {outcome.fault for outcome in copied(source, target, blob, sound)}

    assert faults == {"", f"its object {blob.pieces[0].key} can't be read (Input/output error)"}


def test_the_digest_of_an_upload_is_that_of_its_pieces_together(source: BlobStore, target: FailingStore) -> None:
    first, second = new_key(), new_key()
    source.write(first, io.BytesIO(b"one and what does not count"))
    source.write(second, io.BytesIO(b"two"))
    digest = hashlib.sha256(b"onetwo").hexdigest()
    pieces = [Piece(first, 3), Piece(second, 3)]
    upload = Item("upload", pieces, "sha256", digest, is_exact=False, is_current=lambda: True)

    (outcome,) = copied(source, target, upload)

    assert outcome.fault == ""
    assert (read(target, first), read(target, second)) == (b"one", b"two")


def test_the_time_left_is_that_of_the_objects_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr("storage_copy.progress.time.monotonic", lambda: seconds)
    progress = Progress()
    progress.begin_pass(4, 4 * CHUNK_BYTES)
    progress.so_far()
    seconds += 10
    progress.move(CHUNK_BYTES)
    progress.copied = 1

    assert progress.so_far().endswith("25%, 1 of 4 objects, 102.4 KiB/s, 30s left")
