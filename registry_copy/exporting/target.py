"""The folder of an export: files that appear whole, under names that are kept when they are right already."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from core.sizes import size_text
from distribution.protocol.digest import Digest, new_hash
from distribution.storage import disk_reserve
from distribution.storage.blob_store import BlobStore, MissingObjectError
from distribution.uploads.hashing_reader import read_to_end
from registry_copy.errors import CopyError, LeftOutError
from registry_copy.source.files import Counted

# Another file system or mount, one without links, too many links to this file, a file of another user.
_NOT_LINKED = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EPERM, errno.EACCES}
_PARTIAL = ".partial-"
_CHUNK_BYTES = 1024 * 1024


class Target:
    """The folder `root`; nothing in it is deleted, and no file is changed in place."""

    def __init__(
        self, root: Path, store: BlobStore, moved: Callable[[int], None], *, copies: bool, verifies: bool
    ) -> None:
        self.root, self._store, self._moved, self._verifies = root, store, moved, verifies
        self._source = None if copies else store.folder()
        root.mkdir(parents=True, exist_ok=True)
        self._is_on_own_disk = disk_reserve.is_on_own_disk(root)

    def read(self, path: str) -> tuple[bytes, float] | None:
        """Return a small file with the time of its last change, None when there is none."""
        try:
            file = self.root / path
            return file.read_bytes(), file.stat().st_mtime
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes, written_at: datetime | None = None) -> None:
        """Write a file, unless it has this content."""
        found = self.read(path)
        if found is not None and found[0] == content:
            return
        with self._replaced(path) as partial:
            partial.write_bytes(content)
            if written_at is not None:
                os.utime(partial, (written_at.timestamp(), written_at.timestamp()))

    def take(self, path: str, digest: Digest, key: str, size: int) -> bool:
        """Link or copy an object to `path`; False when it was there. Raises LeftOutError, MissingObjectError."""
        if self._is_there(path, digest, size):
            return False
        with self._replaced(path) as partial:
            if self._source is None or not self._is_linked(self._source / key, partial):
                self._copy(partial, digest, key, size)
            elif partial.lstat().st_size != size:
                raise LeftOutError(f"its object {key} has {partial.lstat().st_size} bytes instead of {size}")
            elif self._verifies:
                self._check(partial, digest, f"its object {key} has other bytes")
        return True

    def _is_there(self, path: str, digest: Digest, size: int) -> bool:
        file = self.root / path
        try:
            if file.stat().st_size != size:
                return False
        except FileNotFoundError:
            return False
        if self._verifies:
            with suppress(LeftOutError):
                self._check(file, digest, "")
                return True
            return False
        return True

    def _is_linked(self, source: Path, target: Path) -> bool:
        try:
            os.link(source, target)
        except FileNotFoundError as error:
            raise MissingObjectError(str(source)) from error
        except OSError as error:
            if error.errno not in _NOT_LINKED:
                raise
            if error.errno != errno.EMLINK:
                self._source = None
            return False
        return True

    def _copy(self, partial: Path, digest: Digest, key: str, size: int) -> None:
        self._check_room(size)
        running = new_hash(digest.algorithm)
        with closing(self._store.open_at(key)) as file, partial.open("xb") as copy:
            reader = Counted(file, self._moved)
            while chunk := reader.read(_CHUNK_BYTES):
                running.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        if running.hexdigest() != digest.encoded:
            raise LeftOutError(f"its object {key} has other bytes")

    def _check_room(self, size: int) -> None:
        if not self._is_on_own_disk:
            return
        space = disk_reserve.space_of(self.root)
        if space.free - size < space.low_mark:
            raise CopyError(
                f"{self.root}: on the disk of the registry, which has {size_text(space.free)} free and keeps "
                f"{size_text(space.low_mark)} (storage.min_free); name a folder on another disk"
            )

    def _check(self, file: Path, digest: Digest, fault: str) -> None:
        running = new_hash(digest.algorithm)
        with file.open("rb", buffering=0) as reader:
            read_to_end(Counted(reader, self._moved), running)
        if running.hexdigest() != digest.encoded:
            raise LeftOutError(fault)

    @contextmanager
    def _replaced(self, path: str) -> Iterator[Path]:
        """Yield a name in the same folder; what is written there replaces `path`."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{_PARTIAL}{file.name}")
        # Of a run that was killed.
        partial.unlink(missing_ok=True)
        try:
            yield partial
            partial.replace(file)
        finally:
            # A rename does nothing if both names are of one file already.
            partial.unlink(missing_ok=True)
