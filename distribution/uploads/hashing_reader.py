"""Hash bytes on their way into the storage."""

from collections.abc import Callable

from distribution.protocol.digest import RunningHash
from distribution.storage.blob_store import Reader
from distribution.storage.local import CHUNK_BYTES


class HashingReader:
    """Wrap a reader: count its bytes, and add them to `running` unless that is None.

    `on_read` is called with the size of each piece.
    """

    def __init__(
        self, reader: Reader, running: RunningHash | None, on_read: Callable[[int], None] | None = None
    ) -> None:
        self._reader = reader
        self._hash = running
        self._on_read = on_read
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read from the wrapped reader. Raises what it and `on_read` raise."""
        chunk = self._reader.read(size)
        self._add(chunk, len(chunk))
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        size = self._reader.readinto(view) or 0
        self._add(view[:size], size)
        return size

    def _add(self, piece: bytes | memoryview, size: int) -> None:
        if self._hash is not None:
            self._hash.update(piece)
        self.size += size
        if self._on_read is not None:
            self._on_read(size)


def read_to_end(reader: Reader, running: RunningHash) -> int:
    """Add every byte of `reader` to a hash, and return their number. Raises what the reader raises."""
    hashing, buffer = HashingReader(reader, running), memoryview(bytearray(CHUNK_BYTES))
    while hashing.readinto(buffer):
        pass
    return hashing.size
