"""Files that survive a power cut: copied and hashed."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from core.private_files import give_to_owner

Watch = Callable[[], None]

CHUNK_BYTES = 1024 * 1024
# A single fsync at the end of a large file would be silent for longer than a lease lives.
SYNC_BYTES = 256 * CHUNK_BYTES


def copy(source: Path, target: Path, watch: Watch) -> None:
    """Copy a file to the new name `target`, durable when this returns. Raises OSError.

    `watch` is called after each piece; what it raises ends the copy, of which nothing is left.
    """
    begin_copy(source, target, watch)
    sync(target)


def begin_copy(source: Path, target: Path, watch: Watch) -> None:
    """Do what `copy` does, but for `sync`, which is the faster the more files it is left for."""
    try:
        with source.open("rb") as reader, open(target, "xb", buffering=0, opener=_open_private) as writer:
            give_to_owner(target.parent, writer.fileno())
            _copy(reader, writer, watch)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _copy(reader: IO[bytes], writer: IO[bytes], watch: Watch) -> None:
    size = unsynced = 0
    while sent := os.sendfile(writer.fileno(), reader.fileno(), size, CHUNK_BYTES):
        size, unsynced = size + sent, unsynced + sent
        if unsynced >= SYNC_BYTES:
            os.fdatasync(writer.fileno())
            unsynced = 0
        watch()
    # Let the disk begin with it: an fsync that comes later finds little to wait for.
    os.posix_fadvise(writer.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def digest(path: Path, watch: Watch, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file. Raises OSError, and what `watch` raises after each piece."""
    running = hashlib.new(algorithm)
    for chunk in _chunks(path):
        running.update(chunk)
        watch()
    return running.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def sizes(folder: Path) -> dict[str, int]:
    """Return the files of a folder with their bytes; none when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except FileNotFoundError:
        return {}


def sync(path: Path) -> None:
    """Make a file that another program wrote durable. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
