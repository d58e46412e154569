"""What every storage of blobs has to do. A new backend joins BACKENDS."""

import io
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.files.storage import InMemoryStorage, Storage

from distribution.storage.blob_store import BlobStore, MissingObjectError, new_key
from distribution.storage.cloud import KeyTakenError
from distribution.storage.local import CHUNK_BYTES, FIRST_CHUNK_BYTES, DurableFileSystemStorage
from distribution.storage.s3 import RegistryS3Storage
from distribution.storage.s3_parts import PART_BYTES
from tests.s3.servers import S3Server

BYTES = b"bytes of a blob"


def s3(request: pytest.FixtureRequest, name: str) -> Storage:
    """Return a storage in a new bucket of a server, below a prefix."""
    server: S3Server = request.getfixturevalue(name)
    bucket = server.make_bucket(f"contract-{uuid.uuid4().hex}")
    return RegistryS3Storage(**server.options(bucket), location="below/")


BACKENDS: dict[str, Callable[[pytest.FixtureRequest, Path], Storage]] = {
    "file-system": lambda _request, folder: DurableFileSystemStorage(location=str(folder)),
    "memory": lambda _request, _folder: InMemoryStorage(base_url="https://storage.example/"),
    "seaweedfs": lambda request, _folder: s3(request, "seaweedfs"),
    "moto": lambda request, _folder: s3(request, "moto"),
}


class BrokenReader(io.BytesIO):
    """Gives some bytes, then raises."""

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override]
        self._raise_at_end()
        return super().readinto(view)

    def read(self, size: int | None = -1, /) -> bytes:
        self._raise_at_end()
        return super().read(size)

    def _raise_at_end(self) -> None:
        if self.tell() == len(self.getbuffer()):
            raise ValueError("no more")


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Return an empty store that was prepared, one for each backend."""
    store = BlobStore(BACKENDS[request.param](request, tmp_path))
    store.prepare()
    return store


@pytest.fixture
def key(store: BlobStore) -> str:
    """Return the key of an object, which holds BYTES."""
    key = new_key()
    store.write(key, io.BytesIO(BYTES))
    return key


def read(store: BlobStore, key: str, offset: int = 0) -> bytes:
    """Return an object's bytes from `offset` on."""
    with store.open_at(key, offset) as file:
        return file.read()


def is_missing(store: BlobStore, key: str) -> bool:
    """Tell whether the store says that there is no object, in both ways to ask."""
    for ask in (store.size, store.open_at):
        try:
            ask(key)
        except MissingObjectError:
            continue
        return False
    return True


@pytest.mark.parametrize(
    "size", [0, 1, FIRST_CHUNK_BYTES - 1, FIRST_CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 1, PART_BYTES, 2 * PART_BYTES + 1]
)
def test_an_object_is_read_as_it_was_written(store: BlobStore, size: int) -> None:
    key, content = new_key(), os.urandom(size)

    store.write(key, io.BytesIO(content))

    assert read(store, key) == content
    assert store.size(key) == size


@pytest.mark.parametrize("offset", [0, 1, len(BYTES) - 1, len(BYTES)])
def test_an_object_is_read_from_any_offset(store: BlobStore, key: str, offset: int) -> None:
    assert read(store, key, offset) == BYTES[offset:]


def test_a_part_of_an_object_is_read(store: BlobStore, key: str) -> None:
    with store.open_at(key, 2) as file:
        assert file.read(3) == BYTES[2:5]
        assert file.read(1) == BYTES[5:6]


def test_readers_of_one_object_do_not_move_each_other(
    request: pytest.FixtureRequest, store: BlobStore, key: str
) -> None:
    if "memory" in request.node.name:
        request.applymarker(pytest.mark.xfail(reason="Django's storage in memory opens one file for all readers"))

    with store.open_at(key) as first, store.open_at(key, 3) as second:
        assert first.read(2) == BYTES[:2]
        assert second.read(2) == BYTES[3:5]
        assert first.read(1) == BYTES[2:3]


def test_a_missing_object_is_an_error_of_its_own(store: BlobStore, key: str) -> None:
    assert not is_missing(store, key)
    assert is_missing(store, new_key())


def test_a_deleted_object_is_missing_and_others_stay(store: BlobStore, key: str) -> None:
    other = new_key()
    store.write(other, io.BytesIO(b"other"))

    store.delete(key)

    assert is_missing(store, key)
    assert read(store, other) == b"other"


def test_deleting_a_missing_object_is_no_error(store: BlobStore, key: str) -> None:
    store.delete(new_key())
    store.delete(key)
    store.delete(key)

    assert is_missing(store, key)


def test_a_freed_object_can_be_deleted(store: BlobStore, key: str) -> None:
    store.free(key)
    store.free(new_key())
    store.delete(key)

    assert is_missing(store, key)


def test_an_object_is_never_overwritten(store: BlobStore, key: str) -> None:
    with pytest.raises((FileExistsError, KeyTakenError)):
        store.write(key, io.BytesIO(b"other bytes"))

    assert read(store, key) == BYTES


@pytest.mark.parametrize("size", [4, PART_BYTES + 1])
def test_an_exception_from_the_reader_leaves_no_object(store: BlobStore, size: int) -> None:
    key = new_key()

    with pytest.raises(ValueError, match="no more"):
        store.write(key, BrokenReader(bytes(size)))

    assert is_missing(store, key)


def test_only_a_disk_appends(store: BlobStore, key: str) -> None:
    if not store.is_disk:
        with pytest.raises(TypeError, match="nothing can be appended"):
            store.append(key, io.BytesIO(b" and more"), len(BYTES))
        assert read(store, key) == BYTES
        return

    store.append(key, io.BytesIO(b" and more"), len(BYTES))

    assert read(store, key) == BYTES + b" and more"


def test_only_a_disk_truncates(store: BlobStore, key: str) -> None:
    if not store.is_disk:
        with pytest.raises(TypeError, match="nothing can be appended"):
            store.truncate(key, 5)
        assert read(store, key) == BYTES
        return

    store.truncate(key, 5)

    assert read(store, key) == BYTES[:5]


def test_an_object_has_either_a_path_or_an_address(store: BlobStore, key: str) -> None:
    folder, address = store.folder(), store.redirect_url(key)

    if folder is None:
        assert address is not None
        assert f"/{key}" in address
    else:
        assert address is None
        assert (folder / key).read_bytes() == BYTES


def test_a_prepared_store_answers(store: BlobStore, key: str) -> None:
    store.prepare()
    store.probe()

    assert store.is_prepared()
    assert read(store, key) == BYTES


def test_a_trial_write_leaves_nothing_and_removes_what_an_earlier_one_left(store: BlobStore, key: str) -> None:
    left = "probe-of-a-process-that-was-killed"
    store.write(left, io.BytesIO(b"left"))

    store.try_writing()

    assert is_missing(store, left)
    assert read(store, key) == BYTES


def test_trial_writes_at_once_do_not_delete_each_others_objects(store: BlobStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(store.try_writing) for _ in range(80)]:
            done.result()


def test_keys_differ_and_hold_nothing_but_hexadecimal_digits() -> None:
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(key.startswith("objects/") and set(key[8:]) <= set("0123456789abcdef/") for key in keys)


def test_a_whole_object_is_read_as_it_was_written_and_not_replaced(store: BlobStore) -> None:
    key = new_key()
    store.write_whole(key, io.BytesIO(BYTES))

    with pytest.raises((KeyTakenError, FileExistsError)):
        store.write_whole(key, io.BytesIO(b"other"))
    assert read(store, key) == BYTES


def test_a_reader_that_fails_leaves_no_whole_object(store: BlobStore) -> None:
    key = new_key()

    with pytest.raises(ValueError, match="no more"):
        store.write_whole(key, BrokenReader(BYTES))

    assert is_missing(store, key)
    store.write_whole(key, io.BytesIO(BYTES))


def test_the_sizes_of_a_folder_are_those_of_its_objects(request: pytest.FixtureRequest, store: BlobStore) -> None:
    if "memory" in request.node.name:
        request.applymarker(pytest.mark.xfail(raises=TypeError, reason="no registry has its objects in memory"))
    key, other = "objects/ab/" + "a" * 32, "objects/cd/" + "c" * 32
    store.write(key, io.BytesIO(BYTES))
    store.write(other, io.BytesIO(b""))

    assert store.sizes("objects/ab") == {"a" * 32: len(BYTES)}
    assert store.sizes("objects/cd") == {"c" * 32: 0}
    assert store.sizes("objects/ef") == {}
