"""The files of a tree, read-only, and how one of them becomes an object of the registry's own storage."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from distribution.protocol.digest import Digest, new_hash
from distribution.uploads.hashing_reader import read_to_end
from registry_copy.errors import LeftOutError


@dataclass(frozen=True, slots=True)
class Found:
    """The first bytes of a file, and when it was written."""

    content: bytes
    modified_at: datetime


class Files(ABC):
    """The files below one root; a path has no leading slash. Methods raise OSError or CloudError."""

    where: str
    """What names the root for the operator."""

    is_slow: bool
    """Whether reading and `take` wait for a disk or a network, so that several at once are faster."""

    hashes: bool
    """Whether `take` reads the bytes, and compares them with the digest."""

    @abstractmethod
    def folders(self, path: str) -> Iterator[str]:
        """Yield the names of the folders in a folder; none for a missing one."""

    @abstractmethod
    def read(self, path: str, limit: int) -> Found | None:
        """Return up to `limit` bytes of a file, None when there is none."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Return the size of a file, None when there is none. Raises LeftOutError for anything but a file."""

    @abstractmethod
    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""

    @abstractmethod
    def take(self, path: str, digest: Digest, size: int, key: str) -> None:
        """Make the file an object under a new key, of which `sync` makes the name durable.

        Raises LeftOutError when it is not as long as `size` or, as far as this `hashes`, has another digest, and
        CopyError when no file can be taken.
        """

    @abstractmethod
    def sync(self, keys: Iterable[str]) -> None:
        """Make the names of these objects durable."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Delete a file of the tree, the one thing that is ever changed there."""

    def check_digest(self, path: str, digest: Digest, moved: Callable[[int], None]) -> None:
        """Read the whole file; `moved` is called with each number of bytes. Raises LeftOutError for another digest."""
        running = new_hash(digest.algorithm)
        with closing(self.open(path)) as file:
            read_to_end(Counted(file, moved), running)
        if running.hexdigest() != digest.encoded:
            raise LeftOutError(f"blob {digest} has other bytes")


class Counted:
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: IO[bytes], moved: Callable[[int], None]) -> None:
        """Call `moved` with each number of bytes; what it raises ends the reading."""
        self._file, self._moved = file, moved
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""
        chunk = self._file.read(size)
        self._count(len(chunk))
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        """Put the next bytes into `view`."""
        got = int(self._file.readinto(view) or 0)  # type: ignore[attr-defined]  # files and streams have it
        self._count(got)
        return got

    def _count(self, size: int) -> None:
        self.size += size
        self._moved(size)
