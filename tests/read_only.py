"""A database that refuses every write and answers every question, as a standby or a broken disk does."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def read_only_database() -> Iterator[None]:
    """Let every write of the test's own connection fail, in the transaction that the test runs in."""
    refused = _query_only() if connection.vendor == "sqlite" else _transaction_read_only()
    with refused:
        yield


@contextmanager
def _query_only() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON")
        try:
            yield
        finally:
            cursor.execute("PRAGMA query_only = OFF")


@contextmanager
def _transaction_read_only() -> Iterator[None]:
    # A savepoint's end is the only way back to a transaction that writes.
    savepoint = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)
