"""Files that survive a power cut: copy and hash."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from core.private_files import give_to_owner

Watch = Callable[[], None]

CHUNK_BYTES = 1024 * 1024
# A single fsync of a large file takes longer than the lifetime of a lease.
SYNC_BYTES = 256 * CHUNK_BYTES


def copy(source: Path, target: Path, watch: Watch) -> None:
    """Copy a file durably to `target`, which must not exist. Raises OSError.

    `watch` is called after each chunk; what it raises ends the copy, and `target` is removed.
    """
    begin_copy(source, target, watch)
    sync(target)


def begin_copy(source: Path, target: Path, watch: Watch) -> None:
    """Copy without the final `sync`, which is faster after many files."""
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
    # Start the write-back now, so that a later fsync has little to wait for.
    os.posix_fadvise(writer.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def digest(path: Path, watch: Watch, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file. Raises OSError, and what `watch` raises after each chunk."""
    running = hashlib.new(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            running.update(chunk)
            watch()
    return running.hexdigest()


def sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of a folder's files by name; nothing for a missing folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
    except FileNotFoundError:
        return {}


def sync(path: Path) -> None:
    """Flush a file to the disk (fsync). Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
