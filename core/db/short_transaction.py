"""A transaction with a short lock timeout, for bookkeeping on which a login must not wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from core.blocking import blocking_io
from core.db.statement import database_of_thread


@contextmanager
def short_transaction(patience_seconds: float) -> Iterator[None]:
    """Run a transaction whose lock timeout is `patience_seconds`. Raises django.db.DatabaseError.

    Inside another transaction it is a savepoint, with the timeout of that one.
    """
    database = database_of_thread()
    if database.in_atomic_block:
        with transaction.atomic():
            yield
        return
    limited = _sqlite if database.vendor == "sqlite" else _postgresql
    try:
        with blocking_io(), limited(database, round(patience_seconds * 1000)):
            yield
    finally:
        # The request continues: its next query must not fail because of a connection that was lost here.
        database.close_if_unusable_or_obsolete()


@contextmanager
def _sqlite(database: Any, milliseconds: int) -> Iterator[None]:
    usual = _pragma(database, "PRAGMA busy_timeout")
    _pragma(database, f"PRAGMA busy_timeout = {milliseconds}")
    try:
        with transaction.atomic():
            yield
    finally:
        # A connection that was closed meanwhile is opened again with the usual timeout.
        if database.connection is not None:
            _pragma(database, f"PRAGMA busy_timeout = {usual}")


def _pragma(database: Any, sql: str) -> int:
    with database.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


@contextmanager
def _postgresql(database: Any, milliseconds: int) -> Iterator[None]:
    with transaction.atomic():
        with database.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}")
        yield
