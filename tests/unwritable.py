"""A database in which nothing can be written for a while, and what this process remembers of that."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from distribution import deferred_writes
from tests.collector.other_thread import in_other_thread

PATIENCE_SECONDS = 60.0


@contextmanager
def unwritable(table: str) -> Iterator[None]:
    """Let another connection hold the lock that writers of `table` need: on SQLite that of the whole database."""
    with in_other_thread(_lock(table)):
        yield


@contextmanager
def _lock(table: str) -> Iterator[None]:
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


def wait_until_written() -> None:
    """Return once nothing is left to be written."""
    until(is_all_written)


def is_all_written() -> bool:
    """Tell whether this process has no write left to do."""
    writes = deferred_writes._writes
    with writes._lock:
        return not writes._pending and writes._thread is None


def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
