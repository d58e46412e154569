"""A durable file system storage: once `save` has returned, the object survives a power cut."""

import errno
import fcntl
import mmap
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage

from core.blocking import blocking_io
from core.failpoints import failpoint
from core.metrics.catalog import STORAGE_SECONDS
from core.private_files import give_to_owner, make_private_folder, publish

_KEY = re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{32}")

# Beside the folder of objects: files that are not whole yet.
PARTIAL = "partial-"

CHUNK_BYTES = 1024 * 1024
# Enough for a slow client and for a small blob: hundreds of clients need no megabyte each.
FIRST_CHUNK_BYTES = 64 * 1024
# The buffer grows for a client that sends as much in this time.
FAST_SECONDS = 0.25
# From buffers of CHUNK_BYTES on, an object bypasses the page cache (O_DIRECT), in pieces of this size: a new page of
# cache costs as much as SHA-256 of its bytes, and would replace one that clients pull.
DIRECT_BYTES = 2 * 1024 * 1024
BLOCK_BYTES = 4096
# Errors of the disk, not of direct I/O.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)
# By thread: what it has received, and so counted, and not written yet.
_unwritten: dict[int, int] = {}


class SyncError(OSError):
    """An fsync failed: bytes since the last one may be lost, even if the next one succeeds."""


class DurableFileSystemStorage(FileSystemStorage):
    """Write a new file and fsync it, then its folder; append to a file and fsync it.

    Django's own `_save` fsyncs nothing: after a simulated power cut 50 of 50 acknowledged rows pointed at
    missing or short files. A failed fsync is never retried, since the kernel may have dropped the pages: the client
    sends the bytes again, to another file.
    """

    def prepare(self) -> None:
        """Make the 256 folders of `objects` and fsync them, so that a save has to fsync only one."""
        objects = Path(self.path("objects"))
        for folder in (objects, *(objects / f"{number:02x}" for number in range(256))):
            make_private_folder(folder)
        for folder in (objects, objects.parent):
            _sync_folder(str(folder))

    def path(self, name: str) -> str:
        # A key can't lead out of the storage: only other names need Django's check.
        return f"{self.location}/{name}" if _KEY.fullmatch(name) else super().path(name)

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """Store `content` under the new key `name`. Raises OSError.

        Django's own method looks for a name that is free and safe: a key is both, and `_save` replaces nothing.
        """
        if name is None:
            raise ValueError("an object has a key")
        return self._save(name, content)

    def save_whole(self, name: str, content: Any) -> None:
        """Store `content` under the new key `name`, which names the whole file or none, even after a kill.

        Raises FileExistsError, OSError.
        """
        partial = f"{PARTIAL}{os.path.basename(name)}"  # noqa: PTH119 - as below
        self._write_new(partial, content)
        path = Path(self.path(name))
        try:
            if not publish(Path(self.path(partial)), path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            _sync_folder(str(path.parent))
        finally:
            self.free(partial)

    def remove_partial(self) -> None:
        """Remove what killed processes left of `save_whole`. Raises OSError."""
        _, names = self.listdir("")
        for name in names:
            if name.startswith(PARTIAL):
                self.free(name)

    def sizes(self, path: str) -> dict[str, int]:
        """Return the size of each file in a folder by its name in it; none for a missing folder. Raises OSError."""
        try:
            with os.scandir(self.path(path)) as entries:
                return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}
        except FileNotFoundError:
            return {}

    def append(self, name: str, content: Any, size: int) -> None:
        """Truncate the file to `size` bytes and append `content`.

        Raises OSError; after a SyncError nothing may be appended any more. The first `size` bytes stay durable even
        then: an earlier fsync has written them.
        """
        with self._opened(name, size) as descriptor:
            failpoint("upload.after_truncate")
            os.lseek(descriptor, size, os.SEEK_SET)
            try:
                _copy(content, descriptor, size)
            except BaseException:
                # Frees the space on a full disk.
                os.ftruncate(descriptor, size)
                raise
            _sync(descriptor)

    def truncate(self, name: str, size: int) -> None:
        """Truncate the file to its first `size` bytes, durably. Raises OSError."""
        with self._opened(name, size) as descriptor:
            _sync(descriptor)

    @contextmanager
    def _opened(self, name: str, size: int) -> Iterator[int]:
        """Open the file for writing, truncated to `size` bytes. Raises OSError, also when it has fewer."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_size < size:
                raise OSError(errno.ENODATA, f"the file has lost some of its {size} bytes", name)
            os.ftruncate(descriptor, size)
            yield descriptor
        finally:
            os.close(descriptor)

    def delete(self, name: str) -> None:
        """Delete the file, if it exists, durably: a power cut would bring it back, without a row to delete it by."""
        super().delete(name)
        with suppress(FileNotFoundError):
            _sync_folder(os.path.dirname(self.path(name)))  # noqa: PTH120 - as below

    def free(self, name: str) -> None:
        """Delete the file, if it exists, without fsync: a power cut may undo that. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(name))  # noqa: PTH108 - as below

    def _save(self, name: str, content: Any) -> str:
        self._write_new(name, content)
        try:
            failpoint("upload.after_fsync")
            _sync_folder(os.path.dirname(self.path(name)))  # noqa: PTH120 - a Path costs more than the call it is for
        except BaseException:
            self.free(name)
            raise
        return name

    def _write_new(self, name: str, content: Any) -> None:
        """Write a new file; its bytes are durable when this returns, its name is not."""
        path = self.path(name)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            try:
                give_to_owner(os.path.dirname(path), descriptor)  # noqa: PTH120 - as below
                _copy(content, descriptor)
                _sync(descriptor)
            finally:
                os.close(descriptor)
        except BaseException:
            self.free(name)
            raise


def _copy(content: Any, descriptor: int, at: int = 0) -> None:
    """Write every byte of `content` at offset `at`, from the one buffer in which it was received and hashed.

    Bytes of a slow client are written as they come, those of a fast one in whole buffers.
    """
    buffer, received, is_direct = memoryview(bytearray(FIRST_CHUNK_BYTES)), 0, False
    began = time.monotonic()
    while True:
        is_large = len(buffer) >= CHUNK_BYTES
        if is_large:
            # Ends at a block, where the next one can be direct.
            size = _fill(buffer[: len(buffer) - at % BLOCK_BYTES], content, began + FAST_SECONDS)
        else:
            size = content.readinto(buffer)
        if not size:
            return
        if not is_direct and is_large and not at % BLOCK_BYTES:
            is_direct = _bypass_cache(descriptor, is_wanted=True)
        is_direct = _write(descriptor, buffer[:size], is_direct=is_direct)
        at += size
        received += size
        is_fast = time.monotonic() - began < FAST_SECONDS
        if is_large and not is_fast:
            # A client that has become slow keeps no large buffer.
            buffer = memoryview(bytearray(FIRST_CHUNK_BYTES))
            is_direct = is_direct and not _bypass_cache(descriptor, is_wanted=False)
        elif is_fast and received >= len(buffer) and len(buffer) < DIRECT_BYTES:
            # Pages: direct I/O needs an aligned buffer.
            buffer = memoryview(mmap.mmap(-1, 2 * len(buffer), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        if is_large or not is_fast or received >= len(buffer):
            received, began = 0, time.monotonic()


def _fill(buffer: memoryview, content: Any, until: float) -> int:
    """Read until the buffer is full, the content ends or the time is over, and return the number of bytes."""
    size, thread = 0, threading.get_ident()
    while size < len(buffer) and (piece := content.readinto(buffer[size:])):
        size += piece
        _unwritten[thread] = size
        if time.monotonic() >= until:
            break
    return size


def _write(descriptor: int, left: memoryview, *, is_direct: bool) -> bool:
    """Write all of `left`; return whether direct I/O, if it is on, still is."""
    if is_direct and len(left) % BLOCK_BYTES:
        is_direct = not _bypass_cache(descriptor, is_wanted=False)
    try:
        while left:
            try:
                # Blocks when too many dirty pages wait for the disk.
                with blocking_io(), STORAGE_SECONDS.labels("write").time():
                    failpoint("upload.write")
                    left = left[os.write(descriptor, left) :]
            except OSError as error:
                # A part was written that is no multiple of blocks, the blocks of this disk are larger, or the file
                # system takes the flag and refuses the write.
                is_refused = is_direct and error.errno not in _OF_THE_DISK
                if not (is_refused and _bypass_cache(descriptor, is_wanted=False)):
                    raise
                is_direct = False
            failpoint("upload.after_write")
    finally:
        _unwritten.pop(threading.get_ident(), None)
    return is_direct


def unwritten() -> int:
    """Return the bytes that this process is about to write: the disk does not show them yet."""
    return sum(list(_unwritten.values()))


def _bypass_cache(descriptor: int, *, is_wanted: bool) -> bool:
    """Turn direct I/O on or off; return whether the file system does that."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT if is_wanted else 0)
    except OSError:
        return False
    return True


def _sync(descriptor: int) -> None:
    try:
        failpoint("upload.fsync")
        with blocking_io(), STORAGE_SECONDS.labels("fsync").time():
            os.fsync(descriptor)
    except OSError as error:
        raise SyncError(error.errno, error.strerror) from error


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with blocking_io(), STORAGE_SECONDS.labels("fsync").time():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
