"""Hash bytes on their way into the storage."""

from collections.abc import Callable

from distribution.digest import Digest, new_hash
from distribution.storage import Reader


class HashingReader:
    """Pass a reader's bytes on, and count and hash them; `on_read` is called after each piece."""

    def __init__(self, reader: Reader, algorithm: str, on_read: Callable[[], None] | None = None) -> None:
        """Wrap `reader`."""
        self._reader = reader
        self._algorithm = algorithm
        self._hash = new_hash(algorithm)
        self._on_read = on_read
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what the wrapped reader gives. Raises what it and `on_read` raise."""
        chunk = self._reader.read(size)
        self._hash.update(chunk)
        self.size += len(chunk)
        if self._on_read is not None:
            self._on_read()
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        """Do what `read` does, into `view`."""
        size = self._reader.readinto(view) or 0
        self._hash.update(view[:size])
        self.size += size
        if self._on_read is not None:
            self._on_read()
        return size

    @property
    def digest(self) -> Digest:
        """Return the digest of everything read so far."""
        return Digest(self._algorithm, self._hash.hexdigest())
