"""The space that stays free on the disks of the storage and of a SQLite database, by two marks.

    storage.min_free   below this no upload begins
    half of it         below this an upload that has begun is stopped, and nothing is stored that takes rows for good

On the disk of SQLite both are at least the size of its ballast, which would otherwise be room for uploads.
What lies below is for deletion and collection: on a full disk SQLite refuses DELETE too.
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
from distribution.storage.blob_store import blob_store

logger = logging.getLogger(__name__)

# A process writes no more without looking at the disk, and no more than an eighth of the room that it saw: eight of
# them together can't pass the mark.
LOOK_BYTES = 4 * 1024 * 1024
SHARE_OF_ROOM = 8

_REMEDY = "delete what is not needed and run the garbage collector, or make the disk larger"


@dataclass(frozen=True, slots=True)
class Space:
    """What is free on a disk, and what of it stays free, in bytes."""

    whose: str
    free: int
    reserve: int
    # On the disk of SQLite the size of its ballast, which there need not be.
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
        """Tell whether no upload begins."""
        return self.free < self.low_mark

    @property
    def room(self) -> int:
        """What may be written before uploads that have begun are stopped; negative: they are."""
        return self.free - self.hard_mark


def space() -> Space | None:
    """Return the space on the disk that has the least above its reserve, None without a disk. Raises OSError."""
    found = [one for one in (_of_storage(), _of_database()) if one is not None]
    return min(found, key=lambda one: one.free - one.low_mark, default=None)


def check() -> None:
    """Let an upload begin. Raises DENIED while the space is low, UNAVAILABLE when the disk does not answer."""
    found = _answered(space)
    if found is not None and found.is_low:
        raise _refusal(found, found.low_mark, "storage.min_free")


def check_rows() -> None:
    """Let rows be stored that stay. Raises DENIED below the hard mark of the database's disk, UNAVAILABLE."""
    found = _answered(_of_database)
    if found is not None and found.room < 0:
        raise _refusal(found, found.hard_mark, "half of storage.min_free")


def check_room(size: int) -> None:
    """Let `size` more bytes be written to the storage: asked for each piece, which seldom takes a look at the disk.

    Raises DENIED when they would leave less than the hard mark, UNAVAILABLE.
    """
    if _unlooked.covers(size):
        return
    found = _answered(_of_storage)
    if found is None or not found.hard_mark:
        _unlooked.left = LOOK_BYTES
        return
    if found.room < size:
        raise _refusal(found, found.hard_mark, "half of storage.min_free")
    _unlooked.left = min(LOOK_BYTES, (found.room - size) // SHARE_OF_ROOM)


@dataclass(slots=True)
class _Unlooked:
    """What this process may write until it looks at the disk again. Threads may miscount it by a piece."""

    left: int = 0

    def covers(self, size: int) -> bool:
        """Take `size` bytes off; False when they are more than was left."""
        self.left -= size
        return self.left >= 0


_unlooked = _Unlooked()


def is_on_own_disk(folder: Path) -> bool:
    """Tell whether `folder` is on the disk of the storage or the database. Raises OSError."""
    database = database_file()
    own = [blob_store().folder(), None if database is None else Path(database).parent]
    return folder.stat().st_dev in {one.stat().st_dev for one in own if one is not None}


def space_of(folder: Path) -> Space:
    """Return the space on the disk of `folder`, which is one of the registry's. Raises OSError."""
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
    # What an account that is not root may use.
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
