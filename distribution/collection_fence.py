"""Keep the collector from what was promised and could not be written: a lock for which nothing has to be written.

    a process with pending renewals    shared, until they are written
    the collector                      exclusive, in each transaction that removes; it never waits for it

A read whose renewal failed looks at its row once more after its process has the lock. Either the collector removed the
row before, which the read sees, or it removes nothing until the renewal is written. On SQLite this is a flock on a
file beside the database, which a full disk and a read-only file system allow too; on PostgreSQL an advisory lock, which
a read-only server gives too. It is lost with its connection, until the next attempt to write takes it again.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from django.db import connection

from core.db.statement import Statement
from core.lock_file import open_lock_file

# Any number that no other program takes as a lock in the same database; these are the letters "fenc".
_KEY = 0x66656E63
_HOLD = "SELECT pg_advisory_lock_shared(%s)"
_TRY = Statement("SELECT pg_try_advisory_xact_lock(%s)")


class Guard(Protocol):
    """The shared lock of this process."""

    def hold(self) -> None:
        """Have the lock, taken again if it was lost. Raises OSError, django.db.Error."""
        ...

    def release(self) -> None:
        """Give the lock back, if it was had."""
        ...


class FileGuard:
    """A shared flock."""

    def __init__(self) -> None:
        self._file: int | None = None

    def hold(self) -> None:
        """Wait for the collector's transaction, and have the lock. Raises OSError."""
        if self._file is None:
            self._file = _open(os.O_RDONLY)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Close the file, and with it the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class AdvisoryGuard:
    """A shared advisory lock of a session of its own: one of the pool would be handed on with its lock."""

    def __init__(self) -> None:
        self._database = connection.copy()
        self._database.settings_dict["OPTIONS"].pop("pool", None)

    def hold(self) -> None:
        """Wait for the collector's transaction, and have the lock. Raises django.db.Error."""
        if self._database.connection is not None and self._database.is_usable():
            return
        self._database.close()
        try:
            with self._database.cursor() as cursor:
                cursor.execute(_HOLD, [_KEY])
        except BaseException:
            # A session that goes on without the lock would be taken for one that has it.
            self._database.close()
            raise

    def release(self) -> None:
        """End the session, and with it the lock."""
        self._database.close()


def guard() -> Guard:
    """Return the guard of this database, which holds nothing yet. It belongs to the calling thread."""
    return AdvisoryGuard() if connection.vendor == "postgresql" else FileGuard()


@contextmanager
def passage() -> Iterator[Callable[[], bool]]:
    """Yield what a transaction that removes calls first: False says that nothing at all may be removed now.

    The lock is kept until the end of the context, which has to come after COMMIT. Raises OSError when there can be no
    lock; nothing is removed then.
    """
    if connection.vendor == "postgresql":
        yield _may_pass_in_postgresql
        return
    # NFS gives an exclusive lock only to who may write.
    file = _open(os.O_RDWR)
    try:
        yield partial(_may_pass, file)
    finally:
        os.close(file)


def prepare() -> None:
    """Make SQLite's file while it can be made. Raises OSError."""
    if connection.vendor == "sqlite":
        os.close(_open(os.O_RDWR))


def _may_pass_in_postgresql() -> bool:
    return bool(_TRY.value(_KEY))


def _may_pass(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(access: int) -> int:
    return open_lock_file(f"{connection.settings_dict['NAME']}.renewals", access)
