"""Objects go from one folder to another: by hard link where the file system allows it, otherwise by copy."""

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
# Too many links of this file, a file of another user, a file system that says so.
_NOT_LINKED = {errno.EMLINK, errno.EPERM, errno.EACCES}
_SHOWN = 5
_PARTIAL = ".partial-"


@dataclass(slots=True)
class Counts:
    """How far a transfer is: objects, and the bytes of all of them."""

    linked: int = 0
    copied: int = 0
    present: int = 0
    done_bytes: int = 0

    @property
    def done(self) -> int:
        """Objects that are in place."""
        return self.linked + self.copied + self.present

    def bar(self, total: int) -> str:
        """Return in a few words how far it is of `total` objects; nothing before that is known."""
        return f" {bar(self.done, total)}, {size_text(self.done_bytes)}" if total else ""


class BrokenObjectsError(Exception):
    """Objects are missing or are not what the list says; the text names some."""


class Transfer:
    """Brings the objects of the list at `path` from the folder `source` to the folder `target`."""

    def __init__(
        self, path: Path, source: Path, target: Path, counts: Counts, *, may_link: bool, kept: int = 0
    ) -> None:
        """Bring nothing yet. Copies leave `kept` bytes free."""
        self._list, self._source, self._target, self._counts = path, source, target, counts
        self._may_link, self._kept = may_link, kept
        self._broken: list[str] = []
        # Copies of the folder at hand, under another name until they are durable.
        self._partial: list[Path] = []

    def run(self, watch: Watch) -> None:
        """Bring what is missing, durable when this returns; `watch` is called after each object and piece of a copy.

        Raises BackupError when they do not fit; BrokenObjectsError, with all others brought; OSError; what `watch`
        raises. What was brought stays, and the next run goes on from there.
        """
        if not self._may_link:
            self._check_space()
        try:
            for folder, objects in listing.by_folder(self._list):
                self._bring(folder, objects, watch)
        finally:
            for partial in self._partial:
                partial.unlink(missing_ok=True)
        if self._broken:
            more = len(self._broken) - _SHOWN
            rest = [f"and {more} more"] if more > 0 else []
            raise BrokenObjectsError("\n".join([*self._broken[:_SHOWN], *rest]))

    def _bring(self, folder: str, objects: list[StoredObject], watch: Watch) -> None:
        target = self._target / folder
        make_private_folder(target)
        there = files.sizes(target)
        for one in objects:
            if there.get(one.name) == one.size:
                self._counts.present += 1
            elif not self._is_brought(one, watch):
                continue
            self._counts.done_bytes += one.size
            failpoint("backup.after_object")
            watch()
        self._finish_copies(watch)
        sync_folder(target)

    def _finish_copies(self, watch: Watch) -> None:
        for partial in self._partial:
            files.sync(partial)
            partial.rename(partial.with_name(partial.name.removeprefix(_PARTIAL)))
            watch()
        self._partial.clear()

    def _is_brought(self, one: StoredObject, watch: Watch) -> bool:
        source, target = self._source / one.key, self._target / one.key
        if fault := fault_of(source, one):
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
        # Made by root, the name is for the owner of the folder, and so is what it names.
        give_to_owner(target.parent, target)
        return True

    def _check_space(self) -> None:
        needed = sum(self._missing_bytes(folder, objects) for folder, objects in listing.by_folder(self._list))
        free = shutil.disk_usage(self._target).free
        if needed > free - self._kept:
            kept = f", of which the registry keeps {size_text(self._kept)} (storage.min_free)" if self._kept else ""
            raise BackupError(
                f"{self._target}: {size_text(needed)} have to be copied there and {size_text(free)} are free{kept}; "
                "make room, or name a folder with more"
            )

    def _missing_bytes(self, folder: str, objects: list[StoredObject]) -> int:
        there = files.sizes(self._target / folder)
        return sum(one.size for one in objects if there.get(one.name) != one.size)


def fault_of(path: Path, one: StoredObject, watch: Watch | None = None) -> str:
    """Return what is wrong with the file of an object, empty when nothing is; with `watch` its bytes are read too."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return f"blob {one.digest}: its object {path} is missing"
    if size != one.size:
        return f"blob {one.digest}: its object {path} has {size} bytes instead of {one.size}"
    if watch is None:
        return ""
    algorithm, _, encoded = one.digest.partition(":")
    return (
        ""
        if files.digest(path, watch, algorithm) == encoded
        else f"blob {one.digest}: its object {path} has other bytes"
    )
