"""A tree in a folder, whose files are linked into the registry's storage, or copied there."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path

from core.private_files import sync_folder
from distribution.protocol.digest import Digest, new_hash
from distribution.storage import disk_reserve
from distribution.storage.blob_store import BlobStore
from distribution.uploads.hashing_reader import HashingReader
from registry_copy.errors import CopyError, LeftOutError
from registry_copy.source.files import Counted, Files, Found

# Another file system or mount, and one without links.
_NEVER_LINKED = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS}
_REFUSED = {errno.EPERM, errno.EACCES, errno.EMLINK}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The last component is never followed: the tree has no symbolic links.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder(Files):
    """A folder, of which nothing but `remove` changes anything: a linked file keeps its owner, mode and bytes."""

    def __init__(self, root: Path, store: BlobStore, moved: Callable[[int], None], *, copies: bool) -> None:
        self.where, self.is_slow, self.hashes = str(root), copies, copies
        self._store, self._moved, self._copies = store, moved, copies
        self._target = store.folder()

    def folders(self, path: str) -> Iterator[str]:
        try:
            with os.scandir(f"{self.where}/{path}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.name
        except (FileNotFoundError, NotADirectoryError):
            return

    def read(self, path: str, limit: int) -> Found | None:
        try:
            file = self.open(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            status = os.fstat(file.fileno())
            modified_at = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
            return Found(file.read(min(limit, status.st_size)), modified_at)

    def size(self, path: str) -> int | None:
        try:
            status = os.lstat(f"{self.where}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise LeftOutError(f"{path} is not a file")
        return status.st_size

    def open(self, path: str) -> FileIO:
        return open(os.open(f"{self.where}/{path}", _READ), "rb", buffering=0)  # noqa: PTH123 - of a descriptor

    def take(self, path: str, digest: Digest, size: int, key: str) -> None:
        if self._copies:
            self._copy(path, digest, size, key)
        else:
            self._link(path, size, key)

    def _copy(self, path: str, digest: Digest, size: int, key: str) -> None:
        if self._target is not None:
            disk_reserve.check_room(size)
        running = new_hash(digest.algorithm)
        with closing(self.open(path)) as file:
            reader = HashingReader(Counted(file, self._moved), running)
            self._store.write(key, reader)
        if reader.size != size:
            raise LeftOutError(f"{path} has changed meanwhile")
        if running.hexdigest() != digest.encoded:
            raise LeftOutError(f"blob {digest} has other bytes")

    def _link(self, path: str, size: int, key: str) -> None:
        if self._target is None:
            raise CopyError("the registry's storage is no folder, so nothing can be linked: run this with --copy")
        source, target = f"{self.where}/{path}", f"{self._target}/{key}"
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NEVER_LINKED:
                raise CopyError(
                    f"{self.where} and {self._target} are on different file systems or mounts, or on one without hard "
                    "links: run this with --copy"
                ) from error
            if error.errno in _REFUSED:
                raise CopyError(
                    f"{source}: it can't be linked ({error.strerror}): run this as root or as its owner, or with --copy"
                ) from error
            raise
        # By the new name, which nobody else changes.
        status = os.lstat(target)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise LeftOutError(f"{path} has changed meanwhile")
        if not self._is_readable(target, status):
            raise CopyError(
                f"{source}: the user as whom the registry runs may not read this file, and a link does not change "
                "that: run this with --copy"
            )

    @staticmethod
    def _is_readable(target: str, status: os.stat_result) -> bool:
        """Tell whether the server may read a linked file: it runs as the owner of the folder of objects."""
        reader = Path(target).parent.stat()
        if os.geteuid() == reader.st_uid:
            return os.access(target, os.R_OK)
        if status.st_uid == reader.st_uid:
            return bool(status.st_mode & stat.S_IRUSR)
        return bool(status.st_mode & (stat.S_IRGRP if status.st_gid == reader.st_gid else stat.S_IROTH))

    def sync(self, keys: Iterable[str]) -> None:
        # A copy is durable with its name.
        if self._target is not None and not self._copies:
            for folder in {key.rpartition("/")[0] for key in keys}:
                sync_folder(self._target / folder)

    def remove(self, path: str) -> None:
        Path(self.where, path).unlink()
