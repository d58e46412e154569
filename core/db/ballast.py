"""Room for SQLite on a full disk: a file beside the database, which is removed when nearly no space is left.

    start, jobs ──> the file is made while the disk has room for it
    BEGIN       ──> less is free than a quarter of it: the file goes, and SQLite has its space

On a full disk SQLite refuses DELETE too: without this nobody could cancel, log in or collect, and a person had to find
space. The disk of a PostgreSQL is its own server's.
"""

import logging
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from django.conf import settings

from core.db.statement import database_of_thread
from core.lock_file import open_lock_file

logger = logging.getLogger(__name__)

# The log of SQLite has 4 MiB between two checkpoints, and more while somebody reads.
SIZE = 16 * 1024 * 1024
# Of a disk that is smaller than most.
SHARE_OF_DISK = 8
# A disk that refused it, or says that it takes no space, is not tried more often.
RETRY_SECONDS = 3600.0
_PIECE = 1024 * 1024
_ENDING = ".ballast"


def database_file() -> str | None:
    """Return the path of the SQLite database, links followed; None for another database or one in memory."""
    database = database_of_thread()
    if database.vendor != "sqlite" or database.is_in_memory_db():
        return None
    return _real_path(database.settings_dict["NAME"])


@cache
def _real_path(database: str) -> str:
    """Return where the file is itself: there SQLite makes the files beside it."""
    return os.path.realpath(database)


def kept_on(folder: str | Path, disk: os.statvfs_result) -> int:
    """Return the bytes that no upload takes from the disk of `folder`, which SQLite may need: 0 when it is elsewhere.

    They are more than the mark at which the ballast goes, so that its room is not an upload's. Raises OSError.
    """
    database = database_file()
    if database is None:
        return 0
    own = os.stat(os.path.dirname(database))  # noqa: PTH116, PTH120 - a string all along
    return _size_on(disk) if os.stat(folder).st_dev == own.st_dev else 0  # noqa: PTH116 - as above


def yield_room(database: str) -> None:
    """Remove the ballast if the disk of the database is nearly full. Called before each transaction: two system calls.

    Never raises: without room the transaction fails by itself, which is reported.
    """
    database = _real_path(database)
    with suppress(OSError):
        disk = os.statvfs(os.path.dirname(database))  # noqa: PTH120 - a Path costs more than the call it is for
        if disk.f_bavail * disk.f_frsize >= _size_on(disk) // 4:
            return
        os.unlink(database + _ENDING)  # noqa: PTH108 - as above
        logger.warning("the disk of the database is full: its ballast is given up to it", extra={"file": database})


def is_due() -> bool:
    """Tell whether the ballast is missing and the disk has room for it above `storage.min_free`."""
    database = database_file()
    if database is None:
        return False
    folder = os.path.dirname(database)  # noqa: PTH120 - a string all along
    try:
        disk = os.statvfs(folder)
        size = _size_on(disk)
        with suppress(FileNotFoundError):
            file = os.stat(database + _ENDING)  # noqa: PTH116 - as above
            # Not its length: a copy may have holes.
            if file.st_blocks * 512 >= size or 0 <= time.time() - file.st_mtime < RETRY_SECONDS:
                return False
    except OSError:
        return False
    kept = settings.REGISTRY.storage.min_free.of(disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize >= size + max(kept, size) and os.access(folder, os.W_OK)


def make() -> None:
    """Make the ballast if it is due. When the disk refuses, which is logged, an empty file says when that was."""
    database = database_file()
    if database is None or not is_due():
        return
    path = database + _ENDING
    try:
        file = open_lock_file(path)
        try:
            _fill(file)
        finally:
            os.close(file)
    except OSError as error:
        logger.warning("no ballast for the database", extra={"file": path, "reason": error.strerror})


def _fill(file: int) -> None:
    """Write bytes that no file system stores as less: some reserve nothing for `posix_fallocate`, or compress."""
    left = _size_on(os.fstatvfs(file))
    try:
        while left:
            left -= os.write(file, os.urandom(min(left, _PIECE)))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, 0)
        raise


def _size_on(disk: os.statvfs_result) -> int:
    return min(SIZE, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)
