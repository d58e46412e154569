"""Where blobs lie: a few verbs over whatever storage Django is configured with.

    objects/
        ab/abcdef0123456789…   one object an upload segment or blob; the key is a random UUID,
        …                      never anything that a request said

A key is named by a committed row before its first byte, so whatever lies here is known. The object of an open upload
may be longer than its row says; that of a blob never is, and never changes.
"""

import io
import uuid
from pathlib import Path
from typing import IO, Any, Protocol

from django.core.files.storage import FileSystemStorage, Storage, storages

from distribution.storage.local import DurableFileSystemStorage

# Beside the folder of objects.
_PROBE = "probe-"
# A disk that is full has no room for it.
_PAGE = bytes(4096)


class Reader(Protocol):
    """Something that gives bytes until it gives none."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...

    def readinto(self, view: memoryview, /) -> int | None:
        """Put at most `len(view)` bytes into `view` and return how many; 0 at the end."""
        ...


class MissingObjectError(Exception):
    """The storage has no object under a key that a row names."""


class RenamedObjectError(Exception):
    """The storage, not a disk, has read all of an object and stored it under a name that no row has."""


class BlobStore:
    """Objects under keys. What the storage's own client raises on a fault comes through as it is."""

    def __init__(self, storage: Storage) -> None:
        """Use `storage`: a file system, or a cloud of django-storages."""
        self._storage = storage

    @property
    def is_disk(self) -> bool:
        """Tell whether objects are files of this registry's own.

        They can be given more bytes: `append` and `truncate` work. And `write` raises FileExistsError for a key that
        has an object, or the beginning of one.
        """
        return isinstance(self._storage, DurableFileSystemStorage)

    def write(self, key: str, reader: Reader) -> None:
        """Store everything that `reader` gives under `key`, durable when this returns.

        An exception from the reader leaves no object.
        """
        saved = self._storage.save(key, _Content(reader))  # type: ignore[arg-type]  # what a storage needs of a File
        if saved != key:
            self._storage.delete(saved)
            raise RenamedObjectError(f"the storage stored {key} as {saved}")

    def append(self, key: str, reader: Reader, size: int) -> None:
        """Add everything that `reader` gives behind the object's first `size` bytes, durable when this returns.

        What lay behind them goes. After an exception bytes of any kind may lie there, and no other may be added.
        """
        self._appendable().append(key, _Content(reader), size)

    def truncate(self, key: str, size: int) -> None:
        """Leave the first `size` bytes of the object, for good."""
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

    def delete(self, key: str) -> None:
        """Delete the object; an absent one counts as deleted."""
        self._storage.delete(key)

    def free(self, key: str) -> None:
        """Give back at once the space of an object that waits in the trash; a cloud has enough. Raises OSError.

        The trash deletes it once more, for good: until then whoever still writes may make it anew.
        """
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.free(key)

    def open_at(self, key: str, offset: int = 0) -> IO[bytes]:
        """Open the object for reading from byte `offset` on. Raises MissingObjectError."""
        try:
            file: IO[bytes] = self._open(key)
        except FileNotFoundError as error:
            raise MissingObjectError(key) from error
        if offset:
            file.seek(offset)
        return file

    def _open(self, key: str) -> IO[bytes]:
        if isinstance(self._storage, FileSystemStorage):
            return open(self._storage.path(key), "rb")  # noqa: PTH123 - the caller closes it; sendfile needs it bare
        return self._storage.open(key, "rb")

    def redirect_url(self, key: str) -> str | None:
        """Return where a client may fetch the object for a while, None when it has to come from here."""
        return None if isinstance(self._storage, FileSystemStorage) else self._storage.url(key)

    def is_prepared(self) -> bool:
        """Tell whether this storage was prepared before; a cloud needs no preparation."""
        return not isinstance(self._storage, FileSystemStorage) or self._storage.exists("objects")

    def prepare(self) -> None:
        """Make what must exist before the first upload. Raises OSError."""
        if isinstance(self._storage, DurableFileSystemStorage):
            self._storage.prepare()

    def folder(self) -> Path | None:
        """Return the folder in which a key is a path, None for a cloud."""
        return Path(self._storage.path("")) if isinstance(self._storage, FileSystemStorage) else None

    def probe(self) -> None:
        """Ask the storage for something that is not there; raises what its client raises when it does not answer."""
        if isinstance(self._storage, FileSystemStorage):
            self._storage.listdir("objects/00")
        else:
            self._storage.exists("objects/probe")

    def try_writing(self) -> None:
        """Store a little, durable as an upload, and delete it; raises what the storage's client raises.

        What was left by a process that was killed, or could not delete it, goes first. That may be what another process
        stores at this moment, to which an object that is gone counts as deleted.
        """
        _, names = self._storage.listdir("")
        for left in names:
            if left.startswith(_PROBE):
                self.delete(left)
        key = f"{_PROBE}{uuid.uuid4().hex}"
        self.write(key, io.BytesIO(_PAGE))
        self.delete(key)


class _Content:
    """A reader in the shape of a Django File, which a storage reads once and never seeks."""

    def __init__(self, reader: Reader) -> None:
        self.read = reader.read
        self.readinto = reader.readinto

    def chunks(self, chunk_size: int = 1024 * 1024) -> Any:
        """Give the content in pieces, as storages ask for it."""
        while chunk := self.read(chunk_size):
            yield chunk

    def close(self) -> None:
        """Leave the request's body open: its server closes it."""


def new_key() -> str:
    """Return a key that no object has had before."""
    name = uuid.uuid4().hex
    return f"objects/{name[:2]}/{name}"


def blob_store() -> BlobStore:
    """Return the store of the `blobs` alias of STORAGES."""
    return BlobStore(storages["blobs"])


def check_storage() -> None:
    """Raise whatever the storage raises when it does not answer."""
    blob_store().probe()
