"""Room for SQLite on a full disk: a file beside the database, which is removed when nearly no space is left.

    start, jobs ──> the file is made while the disk has room for it
    BEGIN       ──> less is free than a quarter of it: the file goes, and SQLite has its space

On a full disk SQLite refuses DELETE too: without this nobody could cancel, log in or collect, and a person had to find
space. The disk of a PostgreSQL is its own server's.
"""

import logging
import os
from contextlib import suppress

from django.conf import settings

from accounts.statement import database_of_thread
from tokens.lock_file import open_lock_file

logger = logging.getLogger(__name__)

# The log of SQLite has 4 MiB between two checkpoints, and more while somebody reads.
SIZE = 16 * 1024 * 1024
# Of a disk that is smaller than most.
SHARE_OF_DISK = 8
_ENDING = ".ballast"


def database_file() -> str | None:
    """Return the path of the SQLite database, None for another database or one in memory."""
    database = database_of_thread()
    if database.vendor != "sqlite" or database.is_in_memory_db():
        return None
    path: str = os.path.abspath(database.settings_dict["NAME"])  # noqa: PTH100 - a string all along
    return path


def yield_room(database: str) -> None:
    """Remove the ballast if the disk of the database is nearly full. Called before each transaction: two system calls.

    Never raises: without room the transaction fails by itself, which is reported.
    """
    with suppress(OSError):
        disk = os.statvfs(os.path.dirname(database) or ".")  # noqa: PTH120 - a Path costs more than the call it is for
        if disk.f_bavail * disk.f_frsize >= _size_on(disk) // 4:
            return
        os.unlink(database + _ENDING)  # noqa: PTH108 - as above
        logger.warning("the disk of the database is full: its ballast is given up to it", extra={"file": database})


def is_due() -> bool:
    """Tell whether the ballast is missing and the disk has room for it above `storage.min_free`."""
    database = database_file()
    if database is None:
        return False
    try:
        disk = os.statvfs(os.path.dirname(database))  # noqa: PTH120 - a string all along
        size = _size_on(disk)
        with suppress(FileNotFoundError):
            if os.stat(database + _ENDING).st_size >= size:  # noqa: PTH116 - as above
                return False
    except OSError:
        return False
    kept = settings.REGISTRY.storage.min_free.of(disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize >= size + max(kept, size)


def make() -> None:
    """Make the ballast if it is due; nothing when the disk refuses, which is logged."""
    database = database_file()
    if database is None or not is_due():
        return
    path = database + _ENDING
    try:
        file = open_lock_file(path)
        try:
            os.posix_fallocate(file, 0, _size_on(os.fstatvfs(file)))
        finally:
            os.close(file)
    except OSError as error:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - as above
        logger.warning("no ballast for the database", extra={"file": path, "reason": error.strerror})


def _size_on(disk: os.statvfs_result) -> int:
    return min(SIZE, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)
