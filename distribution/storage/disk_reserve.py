"""Reserved free space on the disks of the storage and of a SQLite database, with two thresholds.

    storage.min_free   below this no upload begins
    half of it         below this an upload that has begun is stopped, and nothing is stored that takes rows for good

On the disk of SQLite both are at least the size of its ballast, whose space uploads would otherwise use.
The reserve is for deletion and collection: on a full disk SQLite refuses DELETE too.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db import ballast
from core.db.ballast import database_file
from core.sizes import size_text
from distribution.storage import part_buffer
from distribution.storage.blob_store import blob_store
from distribution.storage.local import unwritten

logger = logging.getLogger(__name__)

# A process writes at most this many bytes between two looks at the disk, and at most an eighth of the room that it saw:
# eight processes together can't pass the threshold.
LOOK_BYTES = 4 * 1024 * 1024
SHARE_OF_ROOM = 8

_REMEDY = "delete what is not needed and run the garbage collector, or make the disk larger"


@dataclass(frozen=True, slots=True)
class Space:
    """The free space of a disk and its reserve, in bytes."""

    whose: str
    free: int
    reserve: int
    # The size of SQLite's ballast, even when that file is missing; 0 on other disks.
    ballast: int

    @property
    def low_mark(self) -> int:
        """Below this no upload begins."""
        return max(self.reserve, self.ballast)

    @property
    def hard_mark(self) -> int:
        """Below this an upload that has begun is stopped."""
        return max(self.reserve // 2, self.ballast)

    @property
    def is_low(self) -> bool:
        return self.free < self.low_mark

    @property
    def room(self) -> int:
        """The bytes that may be written before running uploads are stopped; negative when they are."""
        return self.free - self.hard_mark


def space() -> Space | None:
    """Return the space of the disk with the least space above its reserve, None without a disk. Raises OSError."""
    of_storage = _of_storage()
    if of_storage is not None and of_storage.ballast:
        # The database is on the same disk.
        return of_storage
    found = [one for one in (of_storage, _of_database()) if one is not None]
    return min(found, key=lambda one: one.free - one.low_mark, default=None)


def check() -> None:
    """Check whether an upload may begin. Raises DENIED below the low mark, UNAVAILABLE when the disk fails."""
    found = _answered(space)
    if found is not None and found.is_low:
        raise _refusal(found, found.low_mark, "storage.min_free")


def check_rows() -> None:
    """Check whether permanent rows may be stored. Raises DENIED below the database disk's hard mark, UNAVAILABLE."""
    found = _answered(_of_database)
    if found is not None and found.room < 0:
        raise _refusal(found, found.hard_mark, "half of storage.min_free")


def check_temporary(folder: Path) -> None:
    """Check whether a part may be written to `folder`: on the disk of SQLite it would use the reserve.

    Raises DENIED below the database disk's hard mark, UNAVAILABLE, OSError.
    """
    if is_on_own_disk(folder):
        check_rows()


part_buffer.before_write.append(check_temporary)


def check_room(size: int) -> None:
    """Check whether `size` more bytes may be written to the storage; only some calls look at the disk.

    Raises DENIED when they would leave less than the hard mark, UNAVAILABLE.
    """
    if _unlooked.covers(size):
        return
    found = _answered(_of_storage)
    if found is None or not found.hard_mark:
        _unlooked.left = LOOK_BYTES
        return
    room = found.room - unwritten()
    if room < size:
        raise _refusal(found, found.hard_mark, "half of storage.min_free")
    _unlooked.left = min(LOOK_BYTES, (room - size) // SHARE_OF_ROOM)


@dataclass(slots=True)
class _Unlooked:
    """The bytes that this process may write before it looks at the disk again. Threads may miscount by a piece."""

    left: int = 0

    def covers(self, size: int) -> bool:
        """Subtract `size` bytes; False when fewer were left."""
        self.left -= size
        return self.left >= 0


_unlooked = _Unlooked()


def is_on_own_disk(folder: Path) -> bool:
    """Return whether `folder` is on the disk of the storage or the database. Raises OSError."""
    database = database_file()
    own = [blob_store().folder(), None if database is None else Path(database).parent]
    return folder.stat().st_dev in {one.stat().st_dev for one in own if one is not None}


def space_of(folder: Path) -> Space:
    """Return the space of the disk of `folder`, which is one of the registry's. Raises OSError."""
    return _space("registry", folder)


def _of_storage() -> Space | None:
    folder = blob_store().folder()
    return None if folder is None else _space("registry", folder)


def _of_database() -> Space | None:
    path = database_file()
    return None if path is None else _space("registry's database", os.path.dirname(path))  # noqa: PTH120 - a string all along


def _space(whose: str, folder: str | Path) -> Space:
    disk = os.statvfs(folder)
    reserve = settings.REGISTRY.storage.min_free.of(disk.f_blocks * disk.f_frsize)
    # f_bavail: without the blocks that are reserved for root.
    return Space(whose, disk.f_bavail * disk.f_frsize, reserve, ballast.kept_on(folder, disk))


def _answered(ask: Callable[[], Space | None]) -> Space | None:
    try:
        return ask()
    except OSError as error:
        logger.exception("the storage did not answer")
        raise unavailable("the storage does not answer") from error


def _refusal(found: Space, mark: int, keeps: str) -> RegistryError:
    if mark == found.ballast:
        keeps = "the database's ballast"
    logger.warning("refused: the disk is full", extra={"disk": found.whose, "free": found.free, "reserve": mark})
    reason = f"the disk of the {found.whose} has less space free than {keeps} keeps: {_REMEDY}"
    detail = {"reason": reason, "free_bytes": found.free, "reserve_bytes": mark}
    # All that podman prints.
    sizes = f"{size_text(found.free)} free, {size_text(mark)} kept free by {keeps}"
    return RegistryError(ErrorCode.DENIED, detail, message=f"the disk of the {found.whose} is full: {sizes}")
