"""The blob store: a few verbs over the storage that Django is configured with.

    objects/
        ab/abcdef0123456789…   one object for each upload segment or blob; the key is a random UUID,
        …                      never derived from a request

A committed row names each key before its first byte is written, so every object is known. The object of an open upload
may be longer than its row says; that of a blob never is, and never changes.
"""

import errno
import io
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import FileSystemStorage, Storage, storages

from core.metrics.catalog import STORAGE_SECONDS
from distribution.storage.cloud import CloudError, CloudStorage, KeyTakenError, Piece, Reader, UnfinishedWrite
from distribution.storage.local import DurableFileSystemStorage

__all__ = ["BlobStore", "CloudError", "KeyTakenError", "MissingObjectError", "Piece", "Reader", "RenamedObjectError"]

# Beside the folder of objects: probe-<Unix time>-<random>.
_PROBE = "probe-"
# By then the process that wrote it has deleted it, or was killed; more than clocks differ.
_PROBE_SECONDS = 3600
# A disk that is full has no room for it.
_PAGE = bytes(4096)


class MissingObjectError(Exception):
    """The storage has no object under a key that a row names."""


class RenamedObjectError(Exception):
    """A cloud storage has stored an object under another name than its key, which no row has."""


class BlobStore:
    """Objects under keys, in a file system or a cloud of django-storages, whose exceptions are passed through."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def is_disk(self) -> bool:
        """Return whether objects are files of this registry's own.

        If so, `append` and `truncate` work, `join` does not, and `write` raises FileExistsError, with nothing read, for
        a key that has an object, even an unfinished one. A cloud raises KeyTakenError once all is read.
        """
        return isinstance(self._storage, DurableFileSystemStorage)

    @property
    def is_cloud(self) -> bool:
        """Return whether objects are behind a network: `join` works, and each question costs a request."""
        return isinstance(self._storage, CloudStorage)

    def write(self, key: str, reader: Reader) -> None:
        """Store every byte of `reader` under `key`, durable when this returns.

        An exception from the reader leaves no object.
        """
        if not isinstance(self._storage, DurableFileSystemStorage | CloudStorage):
            self._write_or_delete(key, reader)
            return
        self._storage.save(key, _Content(reader))  # type: ignore[arg-type]  # the part of File that is used

    def write_whole(self, key: str, reader: Reader) -> None:
        """Do what `write` does; the key has the whole object or none, even after a kill."""
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.save_whole(key, _Content(reader))
        else:
            self.write(key, reader)

    def _write_or_delete(self, key: str, reader: Reader) -> None:
        """Write by a storage of Django, which may choose another name, and leaves what a failed reader gave."""
        if self._storage.exists(key):
            raise KeyTakenError(f"the key {key} has an object already")
        try:
            saved = self._storage.save(key, _Content(reader))  # type: ignore[arg-type]  # the part of File that is used
        except BaseException:
            self._storage.delete(key)
            raise
        if saved != key:
            self._storage.delete(saved)
            raise RenamedObjectError(f"the storage stored {key} as {saved}")

    def join(self, pieces: list[Piece], key: str, on_step: Callable[[], None]) -> bool:
        """Join objects under a new key, durably, without their bytes passing through here; False if that can't be.

        `on_step` is called before each step; what it raises leaves no object. Raises MissingObjectError.
        """
        if not isinstance(self._storage, CloudStorage):
            return False
        try:
            return self._storage.join(pieces, key, on_step)
        except FileNotFoundError as error:
            raise MissingObjectError(str(error)) from error

    def append(self, key: str, reader: Reader, size: int) -> None:
        """Truncate the object to `size` bytes and append every byte of `reader`, durable when this returns.

        After an exception, the bytes behind the first `size` are undefined, and no further ones may be appended.
        """
        self._appendable().append(key, _Content(reader), size)

    def truncate(self, key: str, size: int) -> None:
        """Truncate the object to its first `size` bytes, durably."""
        self._appendable().truncate(key, size)

    def _appendable(self) -> DurableFileSystemStorage:
        if not isinstance(self._storage, DurableFileSystemStorage):
            raise TypeError("nothing can be appended in this storage")
        return self._storage

    def size(self, key: str) -> int:
        """Return the object's size in bytes. Raises MissingObjectError."""
        try:
            return self._storage.size(key)
        except FileNotFoundError as error:
            raise MissingObjectError(key) from error

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size of each object in a folder as "objects/ab", by its name in it."""
        if not isinstance(self._storage, DurableFileSystemStorage | CloudStorage):
            raise TypeError("this storage lists no sizes")
        return self._storage.sizes(folder)

    def delete(self, key: str) -> None:
        """Delete the object; a missing one counts as deleted."""
        with STORAGE_SECONDS.labels("delete").time():
            self._storage.delete(key)

    def free(self, key: str) -> None:
        """Free the space of an object in the trash at once; a cloud has enough. Raises OSError.

        The trash deletes it again, durably: until then a writer that is still alive may create it anew.
        """
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.free(key)

    def open_at(self, key: str, offset: int = 0, size: int | None = None) -> IO[bytes]:
        """Open the object for reading from byte `offset` on. Raises MissingObjectError.

        A caller that needs no more than `size` bytes says so: a cloud then sends no others.
        """
        file: IO[bytes]
        try:
            with STORAGE_SECONDS.labels("open").time():
                if isinstance(self._storage, CloudStorage):
                    return self._storage.open_at(key, offset, size)
                if isinstance(self._storage, FileSystemStorage):
                    file = open(self._storage.path(key), "rb")  # noqa: PTH123, SIM115 - the caller closes it; sendfile needs it bare
                else:
                    file = self._storage.open(key, "rb")
        except FileNotFoundError as error:
            raise MissingObjectError(key) from error
        if offset:
            file.seek(offset)
        return file

    def redirect_url(self, key: str) -> str | None:
        """Return a temporary URL of the object for clients, None when the registry has to serve it."""
        if isinstance(self._storage, FileSystemStorage):
            return None
        return self._storage.redirect_url(key) if isinstance(self._storage, CloudStorage) else self._storage.url(key)

    def is_prepared(self) -> bool:
        """Return whether `prepare` has run before; a cloud needs none, but has objects once there are blobs."""
        if isinstance(self._storage, CloudStorage):
            return self._storage.has_objects()
        return not isinstance(self._storage, FileSystemStorage) or self._storage.exists("objects")

    def prepare(self) -> None:
        """Make the folders that uploads need. Raises OSError."""
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.prepare()

    def remove_partial(self) -> None:
        """Remove what killed processes left of `write_whole`; no other process may be in it."""
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.remove_partial()

    def folder(self) -> Path | None:
        """Return the folder in which a key is a path, None for a cloud."""
        return Path(self._storage.location) if isinstance(self._storage, FileSystemStorage) else None

    def probe(self) -> None:
        """Ask the storage for something cheap; raises what its client raises when it does not answer."""
        if isinstance(self._storage, CloudStorage):
            self._storage.probe()
        elif isinstance(self._storage, FileSystemStorage):
            self._storage.listdir("objects/00")
        else:
            self._storage.exists("objects/probe")

    def try_writing(self) -> None:
        """Write a small object as durably as an upload, read it back and delete it; raises what the storage raises.

        Leftovers of killed processes are deleted first. Younger ones may be in use: another process, or replica, would
        miss its own.
        """
        now = int(time.time())
        _, names = self._storage.listdir("")
        for left in names:
            if left.startswith(_PROBE) and not _is_young(left, now):
                self.delete(left)
        key = new_probe()
        self.write(key, io.BytesIO(_PAGE))
        try:
            with self.open_at(key) as file:
                if file.read() != _PAGE:
                    raise OSError(errno.EIO, "the storage gave other bytes back than it took")
        finally:
            self.delete(key)

    def unfinished_writes(self, age: timedelta) -> Iterator[UnfinishedWrite]:
        """Yield the writes that began at least `age` ago and whose parts still take space; a disk has none."""
        if isinstance(self._storage, CloudStorage):
            yield from self._storage.unfinished_writes(age)


class _Content:
    """The part of a Django File that a storage uses, which reads it once and never seeks."""

    def __init__(self, reader: Reader) -> None:
        self.read = reader.read
        self.readinto = reader.readinto

    def chunks(self, chunk_size: int = 1024 * 1024) -> Any:
        while chunk := self.read(chunk_size):
            yield chunk

    def close(self) -> None:
        """Do nothing: the server closes the request's body."""


def _is_young(probe: str, now: int) -> bool:
    written = re.match(r"probe-([0-9]{1,12})-", probe)
    return written is not None and abs(now - int(written[1])) < _PROBE_SECONDS


def new_key(folder: str = "") -> str:
    """Return a new random key, in one of 256 folders or in `folder`, two hexadecimal digits."""
    name = folder + uuid.uuid4().hex[len(folder) :]
    return f"objects/{name[:2]}/{name}"


def new_probe() -> str:
    """Return the key of an object that is deleted at once; if its process is killed, by a later `try_writing`."""
    return f"{_PROBE}{int(time.time())}-{uuid.uuid4().hex}"


def blob_store() -> BlobStore:
    """Return the store of the `blobs` alias of STORAGES."""
    return BlobStore(storages["blobs"])


def check_storage() -> None:
    """Raise whatever the storage raises when it does not answer."""
    blob_store().probe()
