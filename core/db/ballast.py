"""Ballast: a file beside the SQLite database that reserves disk space, and is removed when the disk is nearly full.

    start, jobs ──> the file is made while the disk has room for it
    BEGIN       ──> less space is free than a quarter of its size: the file is removed, SQLite gets its space

On a full disk SQLite refuses DELETE too: without ballast no one could cancel an upload, log in or collect garbage.
PostgreSQL's disk is its own server's concern.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from django.conf import settings

from core.db.statement import database_of_thread
from core.lock_file import open_lock_file

logger = logging.getLogger(__name__)

# SQLite's write-ahead log has 4 MiB between two checkpoints, and more during long reads.
SIZE = 16 * 1024 * 1024
# The limit on small disks.
SHARE_OF_DISK = 8
# The interval between attempts on a disk that refuses the file, or reports fewer blocks.
RETRY_SECONDS = 3600.0
_PIECE = 1024 * 1024
_ENDING = ".ballast"

# SQLite follows links too, and makes its files beside the target.
_real_path: Callable[[str], str] = cache(os.path.realpath)
_parent: Callable[[str], str] = cache(os.path.dirname)


def database_file() -> str | None:
    """Return the path of the SQLite database, links followed; None for another database or one in memory."""
    database = database_of_thread()
    if database.vendor != "sqlite" or database.is_in_memory_db():
        return None
    return _real_path(database.settings_dict["NAME"])


def kept_on(folder: str | Path, disk: os.statvfs_result) -> int:
    """Return the bytes on the disk of `folder` that are reserved for SQLite, 0 when it is on another disk.

    They exceed the threshold at which the ballast is removed, so that uploads do not take its space. Raises OSError.
    """
    database = database_file()
    if database is None:
        return 0
    own = os.stat(_parent(database))  # noqa: PTH116 - a string all along
    return _size_on(disk) if os.stat(folder).st_dev == own.st_dev else 0  # noqa: PTH116 - as above


def yield_room(database: str) -> None:
    """Remove the ballast if the disk of the database is nearly full. Called before each transaction: two system calls.

    Never raises: without space the transaction itself fails, which is reported.
    """
    database = _real_path(database)
    with suppress(OSError):
        disk = os.statvfs(_parent(database))
        if disk.f_bavail * disk.f_frsize >= _size_on(disk) // 4:
            return
        os.unlink(database + _ENDING)  # noqa: PTH108 - as above
        logger.warning("the disk of the database is nearly full: its ballast is removed", extra={"file": database})


def is_due() -> bool:
    """Return whether the ballast is missing and the disk has room for it above `storage.min_free`."""
    database = database_file()
    if database is None:
        return False
    folder = os.path.dirname(database)  # noqa: PTH120 - a string all along
    try:
        disk = os.statvfs(folder)
        size = _size_on(disk)
        with suppress(FileNotFoundError):
            file = os.stat(database + _ENDING)  # noqa: PTH116 - as above
            # Blocks, not the length: a copied file may be sparse.
            if file.st_blocks * 512 >= size or 0 <= time.time() - file.st_mtime < RETRY_SECONDS:
                return False
    except OSError:
        return False
    kept = settings.REGISTRY.storage.min_free.of(disk.f_blocks * disk.f_frsize)
    return disk.f_bavail * disk.f_frsize >= size + max(kept, size) and os.access(folder, os.W_OK)


def make() -> None:
    """Make the ballast if it is due. If the disk refuses, which is logged, an empty file keeps the time of that."""
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
    """Write random bytes: some file systems reserve nothing for `posix_fallocate`, or compress."""
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
