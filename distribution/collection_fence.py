"""A shared/exclusive lock that keeps the collector from rows whose `last_used_at` could not be written yet.

    a process with deferred writes    shared, until they are written
    the collector                     exclusive, in each transaction that removes; it never waits for it

A read whose write was deferred reads its row again once its process has the lock. Either the collector has removed the
row, which the read sees, or it removes nothing until the write is done. On SQLite the lock is flock on a file beside
the database, which works on a full disk and a read-only file system; on PostgreSQL it is an advisory lock, which works
on a read-only server. That one is lost with its connection, and taken again by the next attempt to write.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection

from core.db.statement import Statement
from core.lock_file import open_lock_file

# Any number that no other program takes as a lock in the same database; these are the letters "fenc".
_KEY = 0x66656E63
_LOCK_SHARED = "SELECT pg_advisory_lock_shared(%s)"
_TRY_EXCLUSIVE = Statement("SELECT pg_try_advisory_xact_lock(%s)")


class FileGuard:
    """The shared lock of this process on SQLite: flock."""

    _file: int | None = None

    def acquire(self) -> None:
        """Take the lock unless this process has it. Raises OSError."""
        if self._file is None:
            self._file = _open(os.O_RDONLY)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class AdvisoryGuard:
    """The same on PostgreSQL: an advisory lock in a session of its own, since the pool lends a session to others."""

    def __init__(self) -> None:
        self._database = connection.copy()
        self._database.settings_dict["OPTIONS"].pop("pool", None)

    def acquire(self) -> None:
        """Take the lock unless this process has it. Raises django.db.Error."""
        if self._database.connection is not None and self._database.is_usable():
            return
        self._database.close()
        try:
            with self._database.cursor() as cursor:
                cursor.execute(_LOCK_SHARED, [_KEY])
        except BaseException:
            # An open session counts as one that has the lock.
            self._database.close()
            raise

    def release(self) -> None:
        self._database.close()


def guard() -> FileGuard | AdvisoryGuard:
    """Return the guard of this database, not yet locked. It belongs to the calling thread."""
    return AdvisoryGuard() if connection.vendor == "postgresql" else FileGuard()


@contextmanager
def exclusive() -> Iterator[Callable[[], bool]]:
    """Yield the function that a transaction that removes calls first: when it returns False, nothing may be removed.

    The lock lasts until the end of the context, which has to come after COMMIT. Raises OSError when the file can't be
    opened.
    """
    if connection.vendor == "postgresql":
        yield lambda: bool(_TRY_EXCLUSIVE.value(_KEY))
        return
    # NFS grants an exclusive lock only on a file that is open for writing.
    file = _open(os.O_RDWR)
    try:
        yield partial(_try_exclusive, file)
    finally:
        os.close(file)


def prepare() -> None:
    """Make SQLite's file while the disk has room for it. Raises OSError."""
    if connection.vendor == "sqlite":
        os.close(_open(os.O_RDWR))


def _try_exclusive(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(access: int) -> int:
    return open_lock_file(f"{connection.settings_dict['NAME']}.renewals", access)
