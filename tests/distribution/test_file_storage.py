"""The file system storage: written once, synced before it is acknowledged."""

import io
import os
import stat
from pathlib import Path

import pytest

from distribution.file_storage import CHUNK_BYTES, FIRST_CHUNK_BYTES, DurableFileSystemStorage
from distribution.storage import BlobStore, MissingObjectError, new_key


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


def test_what_is_written_is_read(storage: DurableFileSystemStorage) -> None:
    key = new_key()

    BlobStore(storage).write(key, io.BytesIO(b"bytes"))

    with BlobStore(storage).open_at(key, 2) as file:
        assert file.read() == b"tes"
    assert BlobStore(storage).size(key) == 5


@pytest.mark.parametrize("size", [FIRST_CHUNK_BYTES - 1, FIRST_CHUNK_BYTES, FIRST_CHUNK_BYTES + 1, CHUNK_BYTES * 2 + 1])
def test_a_file_of_many_chunks_is_read_as_it_was_written(storage: DurableFileSystemStorage, size: int) -> None:
    key, content = new_key(), os.urandom(size)

    BlobStore(storage).write(key, io.BytesIO(content))

    assert Path(storage.path(key)).read_bytes() == content


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


def test_a_missing_object_has_an_error_of_its_own(storage: DurableFileSystemStorage) -> None:
    with pytest.raises(MissingObjectError):
        BlobStore(storage).size(new_key())
    with pytest.raises(MissingObjectError):
        BlobStore(storage).open_at(new_key())


def test_deleting_what_is_not_there_is_done(storage: DurableFileSystemStorage) -> None:
    BlobStore(storage).delete(new_key())


def test_preparing_twice_does_no_harm(storage: DurableFileSystemStorage, tmp_path: Path) -> None:
    storage.prepare()

    assert len(list((tmp_path / "objects").iterdir())) == 256


def test_a_storage_without_its_folders_does_not_pass_the_probe(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="objects"):
        BlobStore(DurableFileSystemStorage(location=str(tmp_path))).probe()
