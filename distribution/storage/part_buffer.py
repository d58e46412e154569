"""The buffer of a stream on its way to S3: filled with one part after the other, each sent once it is full.

    up to SMALL_BYTES                                       in memory
    up to PART_BYTES, for PARTS_IN_MEMORY streams at once   in memory that grows with what arrives
    otherwise                                               in an anonymous temporary file

So a slow client holds little memory, however much it has sent of its part.
"""

import os
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from core.blocking import blocking_io
from distribution.storage.cloud import CloudError, Reader
from distribution.storage.s3_parts import PART_BYTES

FIRST_BYTES = 64 * 1024
SMALL_BYTES = 256 * 1024
PARTS_IN_MEMORY = 3

before_write: list[Callable[[Path], None]] = []
"""Called with the folder before each write to a temporary file; `disk_reserve`, a floor above, adds its check."""

# Of a process. One that is taken is kept until its stream ends.
_in_memory = threading.BoundedSemaphore(PARTS_IN_MEMORY)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of one request to S3; a file is at its beginning, and has no others."""

    body: bytearray | IO[bytes]
    size: int
    crc32: int


class PartBuffer:
    """A buffer, used by one thread; the bytes of a part are gone once the next is filled. `close` frees it."""

    def __init__(self) -> None:
        self._memory = bytearray()
        self._has_place = False
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "PartBuffer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give memory and file back."""
        if self._has_place:
            _in_memory.release()
            self._has_place = False
        if self._file is not None:
            self._file.close()
            self._file = None

    def fill(self, reader: Reader, size: int) -> Part:
        """Read a part of `size` bytes, fewer at the end.

        Raises what the reader raises; CloudError without space, DENIED below the hard mark of the registry's disk.
        """
        limit = min(size, PART_BYTES if self._has_place else SMALL_BYTES)
        fill(reader, limit, self._memory)
        if len(self._memory) == limit < min(size, PART_BYTES) and self._take_place():
            filled, limit = limit, min(size, PART_BYTES)
            fill(reader, limit, self._memory, filled)
        if len(self._memory) < limit or limit == size:
            return part_of(self._memory)
        return self._spooled(reader, size)

    def _take_place(self) -> bool:
        self._has_place = self._has_place or _in_memory.acquire(blocking=False)
        return self._has_place

    def _spooled(self, reader: Reader, size: int) -> Part:
        """Let the file take the bytes in memory, and those that follow. Raises DENIED below the disk's hard mark."""
        file = self._file = self._file or _temporary_file()
        file.seek(0)
        spooled = crc32 = 0
        while self._memory:
            _write(file, self._memory)
            spooled += len(self._memory)
            crc32 = zlib.crc32(self._memory, crc32)
            fill(reader, min(size - spooled, SMALL_BYTES), self._memory)
        file.truncate()
        file.seek(0)
        return Part(file, spooled, crc32)


def part_of(payload: bytearray) -> Part:
    """Return a part that is in memory."""
    return Part(payload, len(payload), zlib.crc32(payload))


def fill(reader: Reader, size: int, buffer: bytearray, filled: int = 0) -> bytearray:
    """Read `size` bytes into the buffer, fewer at the end, and return it, exactly as long as they are.

    `filled` of them are in it already. It grows with what arrives: a slow client takes no more than twice what it sent.
    """
    if not buffer:
        buffer.extend(bytes(min(FIRST_BYTES, size)))
    while filled < size:
        if filled == len(buffer):
            buffer.extend(bytes(min(filled, size - filled)))
        with memoryview(buffer) as view, view[filled:size] as free:
            got = reader.readinto(free)
        if not got:
            break
        filled += got
    del buffer[filled:]
    return buffer


def _temporary_file() -> IO[bytes]:
    folder = spool_folder()
    try:
        # Without a name: nothing is left of it after a kill.
        return tempfile.TemporaryFile(buffering=0, dir=folder)
    except OSError as error:
        raise _without_space(folder, error) from error


def _write(file: IO[bytes], payload: bytearray) -> None:
    folder = spool_folder()
    try:
        for check in before_write:
            check(folder)
        # Blocks when too many dirty pages wait for the disk.
        with blocking_io(), memoryview(payload) as left:
            written = 0
            while written < len(left):
                written += file.write(left[written:])
    except OSError as error:
        raise _without_space(folder, error) from error


def spool_folder() -> Path:
    """Return the folder of temporary files: that of TMPDIR, of the data, or of the system, the first that there is."""
    data = settings.REGISTRY.server.data_directory
    is_named = bool(os.environ.get("TMPDIR"))
    return data if not is_named and os.access(data, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _without_space(folder: Path, error: OSError) -> CloudError:
    reason = (error.strerror or str(error)).lower()
    return CloudError(
        "no space",
        f"{folder.absolute()} can't keep the part of an upload until it is sent to S3 ({reason}): make room there, or "
        "name another folder by TMPDIR",
    )
