"""Transfer objects between folders: by hard link where the file system allows it, otherwise by copy."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from backup import files, listing
from backup.errors import BackupError
from backup.files import Watch
from backup.listing import StoredObject
from core.failpoints import failpoint
from core.private_files import give_to_owner, make_private_folder, sync_folder
from core.progress import bar
from core.sizes import size_text

# Another file system or mount, and one without links.
_NEVER_LINKED = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS}
# Too many links to this file, a file of another user, a file system without links to it.
_NOT_LINKED = {errno.EMLINK, errno.EPERM, errno.EACCES}
_SHOWN = 5
_PARTIAL = ".partial-"


@dataclass(slots=True)
class Counts:
    """The progress of a transfer: objects, and the bytes of all of them."""

    linked: int = 0
    copied: int = 0
    present: int = 0
    done_bytes: int = 0

    def bar(self, total: int) -> str:
        """Return the progress towards `total` objects; empty while the total is unknown."""
        done = self.linked + self.copied + self.present
        return f" {bar(done, total)}, {size_text(self.done_bytes)}" if total else ""


class BrokenObjectsError(Exception):
    """Objects are missing or differ from the list; the text names some."""


class Transfer:
    """Transfers the objects of the list at `path` from the folder `source` to the folder `target`."""

    def __init__(
        self, path: Path, source: Path, target: Path, counts: Counts, *, may_link: bool, min_free: int = 0
    ) -> None:
        """Take what to transfer; copies leave `min_free` bytes free on the disk."""
        self._list, self._source, self._target, self._counts = path, source, target, counts
        self._may_link, self._min_free = may_link, min_free
        self._broken: list[str] = []
        # Copies in the current folder, under a temporary name until they are durable.
        self._partial: list[Path] = []

    def run(self, watch: Watch) -> None:
        """Transfer the missing objects durably; `watch` is called after each object and chunk.

        Raises BackupError if they do not fit; BrokenObjectsError after all others are transferred; OSError; what
        `watch` raises. Transferred objects stay, and the next run continues from there.
        """
        if not self._may_link:
            self._check_space()
        try:
            for folder, objects in listing.by_folder(self._list):
                self._transfer_folder(folder, objects, watch)
        finally:
            for partial in self._partial:
                partial.unlink(missing_ok=True)
        if self._broken:
            more = len(self._broken) - _SHOWN
            rest = [f"and {more} more"] if more > 0 else []
            raise BrokenObjectsError("\n".join([*self._broken[:_SHOWN], *rest]))

    def _transfer_folder(self, folder: str, objects: list[StoredObject], watch: Watch) -> None:
        target = self._target / folder
        make_private_folder(target)
        sizes = files.sizes(target)
        for stored in objects:
            if sizes.get(stored.name) == stored.size:
                self._counts.present += 1
            elif not self._is_transferred(stored, watch):
                continue
            self._counts.done_bytes += stored.size
            failpoint("backup.after_object")
            watch()
        for partial in self._partial:
            files.sync(partial)
            partial.rename(partial.with_name(partial.name.removeprefix(_PARTIAL)))
            watch()
        self._partial.clear()
        sync_folder(target)

    def _is_transferred(self, stored: StoredObject, watch: Watch) -> bool:
        source, target = self._source / stored.key, self._target / stored.key
        if fault := fault_of(source, stored):
            self._broken.append(fault)
            return False
        target.unlink(missing_ok=True)
        if self._may_link and self._is_linked(source, target):
            self._counts.linked += 1
        else:
            partial = target.with_name(f"{_PARTIAL}{target.name}")
            partial.unlink(missing_ok=True)
            files.begin_copy(source, partial, watch)
            self._partial.append(partial)
            self._counts.copied += 1
        return True

    def _is_linked(self, source: Path, target: Path) -> bool:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno in _NEVER_LINKED:
                self._may_link = False
                self._check_space()
            elif error.errno not in _NOT_LINKED:
                raise
            return False
        # A link made by root belongs to the owner of the folder, as a copy does.
        give_to_owner(target.parent, target)
        return True

    def _check_space(self) -> None:
        needed = 0
        for folder, objects in listing.by_folder(self._list):
            sizes = files.sizes(self._target / folder)
            needed += sum(stored.size for stored in objects if sizes.get(stored.name) != stored.size)
        free, min_free = shutil.disk_usage(self._target).free, self._min_free
        if needed > free - min_free:
            kept = f", of which the registry keeps {size_text(min_free)} (storage.min_free)" if min_free else ""
            raise BackupError(
                f"{self._target}: {size_text(needed)} have to be copied there and {size_text(free)} are free{kept}; "
                "make room, or name a folder with more"
            )


def fault_of(path: Path, stored: StoredObject, watch: Watch | None = None) -> str:
    """Return what is wrong with the file of an object, empty if nothing is; with `watch` its bytes are read too."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return f"blob {stored.digest}: its object {path} is missing"
    if size != stored.size:
        return f"blob {stored.digest}: its object {path} has {size} bytes instead of {stored.size}"
    if watch is None:
        return ""
    algorithm, _, encoded = stored.digest.partition(":")
    is_sound = files.digest(path, watch, algorithm) == encoded
    return "" if is_sound else f"blob {stored.digest}: its object {path} has other bytes"
