"""The file system storage: written once, synced before it is acknowledged."""

import errno
import fcntl
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.storage import local
from distribution.storage.blob_store import BlobStore, new_key
from distribution.storage.local import (
    CHUNK_BYTES,
    DIRECT_BYTES,
    FIRST_CHUNK_BYTES,
    DurableFileSystemStorage,
    SyncError,
)


@pytest.fixture
def storage(tmp_path: Path) -> DurableFileSystemStorage:
    """Return a storage that was prepared."""
    made = DurableFileSystemStorage(location=str(tmp_path))
    made.prepare()
    return made


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the paths of what is synced, in order."""
    paths: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


@pytest.mark.parametrize("size", [FIRST_CHUNK_BYTES - 1, FIRST_CHUNK_BYTES, FIRST_CHUNK_BYTES + 1, CHUNK_BYTES * 2 + 1])
def test_a_file_of_many_chunks_is_read_as_it_was_written(storage: DurableFileSystemStorage, size: int) -> None:
    key, content = new_key(), os.urandom(size)

    BlobStore(storage).write(key, io.BytesIO(content))

    assert Path(storage.path(key)).read_bytes() == content


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collect whether each write bypasses the page cache."""
    found: list[bool] = []
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        found.append(bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    return found


def test_a_large_file_bypasses_the_page_cache_but_for_its_ends(
    storage: DurableFileSystemStorage, direct: list[bool]
) -> None:
    key, content = new_key(), os.urandom(2 * DIRECT_BYTES + 5)

    BlobStore(storage).write(key, io.BytesIO(content))

    assert direct == [False, False, False, False, True, True, False]
    assert Path(storage.path(key)).read_bytes() == content


def test_an_append_at_an_odd_offset_bypasses_the_page_cache_from_a_block_on(
    storage: DurableFileSystemStorage, direct: list[bool]
) -> None:
    key, content = new_key(), os.urandom(2 * DIRECT_BYTES)
    BlobStore(storage).write(key, io.BytesIO(b"odd"))

    BlobStore(storage).append(key, io.BytesIO(content), 3)

    assert any(direct)
    assert Path(storage.path(key)).read_bytes() == b"odd" + content


def test_a_disk_with_larger_blocks_gets_every_byte(
    storage: DurableFileSystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, content = new_key(), os.urandom(2 * DIRECT_BYTES)
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "unaligned")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)

    BlobStore(storage).write(key, io.BytesIO(content))

    assert Path(storage.path(key)).read_bytes() == content


def test_a_slow_client_gets_no_larger_buffer(
    storage: DurableFileSystemStorage, monkeypatch: pytest.MonkeyPatch, direct: list[bool]
) -> None:
    monkeypatch.setattr(local, "FAST_SECONDS", 0.0)

    BlobStore(storage).write(new_key(), io.BytesIO(bytes(4 * FIRST_CHUNK_BYTES)))

    assert direct == [False] * 4


def test_a_file_is_synced_and_then_its_folder(storage: DurableFileSystemStorage, synced: list[str]) -> None:
    key = new_key()

    BlobStore(storage).write(key, io.BytesIO(b"bytes"))

    path = Path(storage.path(key))
    assert synced == [str(path), str(path.parent)]


def test_a_file_is_for_its_owner_only(storage: DurableFileSystemStorage) -> None:
    key = new_key()

    BlobStore(storage).write(key, io.BytesIO(b"bytes"))

    assert stat.S_IMODE(Path(storage.path(key)).stat().st_mode) == 0o600


def test_an_object_is_never_overwritten(storage: DurableFileSystemStorage) -> None:
    key = new_key()
    BlobStore(storage).write(key, io.BytesIO(b"first"))

    with pytest.raises(FileExistsError):
        BlobStore(storage).write(key, io.BytesIO(b"second"))

    assert Path(storage.path(key)).read_bytes() == b"first"


def test_a_symbolic_link_is_not_followed(storage: DurableFileSystemStorage, tmp_path: Path) -> None:
    key = new_key()
    Path(storage.path(key)).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        BlobStore(storage).write(key, io.BytesIO(b"bytes"))

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("behind", [b"", b"a", b"more than is added"])
def test_append_overwrites_what_lies_behind_the_given_size(
    storage: DurableFileSystemStorage, synced: list[str], behind: bytes
) -> None:
    key, blobs = new_key(), BlobStore(storage)
    blobs.write(key, io.BytesIO(b"bytes" + behind))
    synced.clear()

    blobs.append(key, io.BytesIO(b" and others"), 5)

    assert Path(storage.path(key)).read_bytes() == b"bytes and others"
    # Its name in the folder is durable already.
    assert synced == [storage.path(key)]


def test_truncate_is_synced(storage: DurableFileSystemStorage, synced: list[str]) -> None:
    key, blobs = new_key(), BlobStore(storage)
    blobs.write(key, io.BytesIO(b"bytes and others"))
    synced.clear()

    blobs.truncate(key, 5)

    assert Path(storage.path(key)).read_bytes() == b"bytes"
    assert synced == [storage.path(key)]


@pytest.mark.parametrize("lost", [Path.unlink, lambda file: file.write_bytes(b"byt")])
def test_append_and_truncate_refuse_a_file_shorter_than_the_given_size(
    storage: DurableFileSystemStorage, lost: Callable[[Path], object]
) -> None:
    key, blobs = new_key(), BlobStore(storage)
    blobs.write(key, io.BytesIO(b"bytes"))
    lost(Path(storage.path(key)))
    left = [file.read_bytes() for file in Path(storage.location).rglob(key)]

    with pytest.raises(OSError, match=key[8:]):
        blobs.append(key, io.BytesIO(b"more"), 5)
    with pytest.raises(OSError, match=key[8:]):
        blobs.truncate(key, 5)

    assert [file.read_bytes() for file in Path(storage.location).rglob(key)] == left


def test_append_follows_no_symbolic_link(storage: DurableFileSystemStorage, tmp_path: Path) -> None:
    key, elsewhere = new_key(), tmp_path / "elsewhere"
    elsewhere.write_bytes(b"bytes")
    Path(storage.path(key)).symlink_to(elsewhere)

    with pytest.raises(OSError, match=key[8:]):
        BlobStore(storage).append(key, io.BytesIO(b"more"), 5)

    assert elsewhere.read_bytes() == b"bytes"


def test_append_of_a_broken_reader_leaves_what_was_there(storage: DurableFileSystemStorage) -> None:
    key, blobs = new_key(), BlobStore(storage)
    blobs.write(key, io.BytesIO(b"bytes"))

    with pytest.raises(ValueError, match="no more"):
        blobs.append(key, BrokenReader(b" some"), 5)

    assert Path(storage.path(key)).read_bytes() == b"bytes"


def test_an_fsync_that_fails_has_an_error_of_its_own(
    storage: DurableFileSystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    BlobStore(storage).write(key, io.BytesIO(b"bytes"))

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(SyncError, match="Input/output error"):
        BlobStore(storage).append(key, io.BytesIO(b"more"), 5)


class BrokenReader(io.BytesIO):
    """Gives some bytes, then raises."""

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        if self.tell():
            raise ValueError("no more")
        return super().readinto(view)


def test_a_reader_that_raises_leaves_no_object(storage: DurableFileSystemStorage) -> None:
    key = new_key()

    with pytest.raises(ValueError, match="no more"):
        BlobStore(storage).write(key, BrokenReader(b"some"))

    assert not Path(storage.path(key)).exists()


def test_preparing_twice_does_no_harm(storage: DurableFileSystemStorage, tmp_path: Path) -> None:
    storage.prepare()

    assert len(list((tmp_path / "objects").iterdir())) == 256


def test_a_storage_without_its_folders_does_not_pass_the_probe(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="objects"):
        BlobStore(DurableFileSystemStorage(location=str(tmp_path))).probe()
