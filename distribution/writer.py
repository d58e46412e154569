"""Who writes to SQLite next: one thread at a time, of this process and of all others.

SQLite has one writer, and whoever finds it busy sleeps for a while before looking again: with two processes that push
it stood idle half of the time. Here the kernel wakes the next one.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection

# Reentrant, as a transaction within a transaction is.
_threads = threading.RLock()
_depth = 0
_file: int | None = None


@contextmanager
def turn(patience_seconds: float) -> Iterator[None]:
    """Wait until nobody else writes; on PostgreSQL, which has many writers, for nothing.

    Raises OperationalError after `patience_seconds`.
    """
    if connection.vendor != "sqlite":
        yield
        return
    begun = time.monotonic()
    if not _threads.acquire(timeout=patience_seconds):
        raise OperationalError("another thread writes")
    try:
        with _alone_among_processes():
            if time.monotonic() - begun > patience_seconds:
                raise OperationalError("another process writes")
            yield
    finally:
        _threads.release()


@contextmanager
def _alone_among_processes() -> Iterator[None]:
    global _depth  # noqa: PLW0603 - of the thread that has the lock
    database: Any = connection
    is_outermost = _depth == 0 and not database.is_in_memory_db()
    if is_outermost:
        fcntl.flock(_opened(), fcntl.LOCK_EX)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if is_outermost:
            fcntl.flock(_opened(), fcntl.LOCK_UN)


def _opened() -> int:
    """Return the file that stands for the right to write, not the database: closing that would end SQLite's locks."""
    global _file  # noqa: PLW0603 - one database a process
    if _file is None:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        _file = os.open(f"{connection.settings_dict['NAME']}.turn", flags, 0o600)
    return _file


def _forget() -> None:
    """Open a file of its own in a process that was forked: who shares one shares its lock."""
    global _file  # noqa: PLW0603 - as above
    _file = None


os.register_at_fork(after_in_child=_forget)
