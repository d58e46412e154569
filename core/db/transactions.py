"""Retry a transaction that lost a race, and give up with a 503 and a Retry-After; return connections to the pool."""

import hashlib
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from django.db import Error, IntegrityError, connection, transaction

from core.api.errors import RegistryError, unavailable
from core.blocking import blocking_io
from core.db.database_fault import BUSY, report
from core.db.sqlite_writer import SharedTransactionError, write
from core.db.statement import Statement, database_of_thread
from core.metrics.catalog import RETRIES, TRANSACTION_SECONDS

# A new tag that other clients create and delete meanwhile is lost anew each time one of them comes first.
ATTEMPTS = 6
# An attempt may wait for a lock as long as the database lets it; after this time no other begins.
PATIENCE_SECONDS = 15.0

_TAKE_LOCKS = Statement("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) key")
_TRY_LOCKS = Statement("SELECT bool_and(pg_try_advisory_xact_lock(key)) FROM unnest(%s::bigint[]) key")
_ANSWER_AT_ONCE = Statement("SET LOCAL synchronous_commit = off")
_GIVE_UP_EARLY = Statement("SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', %s, true)")

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class LostRaceError(Exception):
    """What a transaction has read is out of date: it is retried from the beginning."""


def run(operation: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Return `operation(*args, **kwargs)` run in a transaction, up to ATTEMPTS times in PATIENCE_SECONDS.

    The whole transaction is repeated, since PostgreSQL checks a deferred foreign key at COMMIT. On SQLite other
    threads may share the transaction, and one of them run the operation.
    Raises RegistryError UNAVAILABLE, with a Retry-After: after the last attempt if each lost a race or its connection,
    at once for a fault that is not transient. Any other error propagates at once.
    """
    return _run(partial(operation, *args, **kwargs), is_durable=True)


def run_removal(operation: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Do what `run` does with a removal: a 404 that its own earlier attempt caused is a success.

    The answer to a COMMIT may get lost although it was made: the next attempt then finds nothing to remove.
    """
    removed: list[Result] = []

    def attempt() -> Result:
        try:
            removed.append(operation(*args, **kwargs))
        except RegistryError as error:
            if not removed or error.code.status != HTTPStatus.NOT_FOUND:
                raise
        return removed[-1]

    return run(attempt)


def run_volatile(operation: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Do what `run` does with an operation that a power cut may undo: its COMMIT does not wait for the disk.

    A later transaction that waits makes it durable too.
    """
    return _run(partial(operation, *args, **kwargs), is_durable=False)


def run_once(operation: Callable[[], Result], patience_seconds: float) -> Result:
    """Return what `operation` returns, run once in a transaction that a power cut may undo. Raises django.db.Error.

    It waits for other writers at most `patience_seconds`: on SQLite in the group commit, on PostgreSQL for a lock.
    """
    if connection.vendor == "sqlite":
        return write(operation, is_durable=False, is_alone=False, patience_seconds=patience_seconds)
    with transaction.atomic():
        _GIVE_UP_EARLY.value(f"{patience_seconds * 1000:.0f}ms")
        return operation()


def _run(operation: Callable[[], Result], *, is_durable: bool) -> Result:
    in_sqlite = partial(write, patience_seconds=PATIENCE_SECONDS)
    transact: Callable[..., Result] = in_sqlite if database_of_thread().vendor == "sqlite" else _in_postgresql
    lost: Exception | None = None
    fault = BUSY
    begun = time.monotonic()
    for attempt in range(ATTEMPTS):
        try:
            with blocking_io(), TRANSACTION_SECONDS.time():
                return transact(operation, is_durable=is_durable, is_alone=isinstance(lost, SharedTransactionError))
        except (IntegrityError, LostRaceError) as error:
            lost, fault = error, BUSY
        except Error as error:
            lost, fault = error, report(error)
        drop_broken_connection(is_suspect=not fault.is_passing)
        if not fault.is_passing or time.monotonic() - begun > PATIENCE_SECONDS:
            break
        RETRIES.add()
        time.sleep(random.uniform(0, 0.01) * (attempt + 1))  # noqa: S311 - spreads contenders, hides nothing
    if isinstance(lost, IntegrityError):
        # A race is lost once or twice. What fails every time violates a constraint.
        fault = report(lost)
    raise unavailable(fault.reason, fault.retry_after_seconds) from lost


def _in_postgresql(operation: Callable[[], Result], *, is_durable: bool, is_alone: bool) -> Result:  # noqa: ARG001 - as `write`
    with transaction.atomic():
        if not is_durable:
            _ANSWER_AT_ONCE.run()
        return operation()


def take_advisory_locks(*names: str) -> None:
    """Take the advisory lock of each of `names` until the end of the transaction; SQLite has one writer anyway.

    It orders what no row lock can: two new rows that depend on each other. Call it before any row lock, to prevent
    deadlocks.
    """
    if names and database_of_thread().vendor == "postgresql":
        _TAKE_LOCKS.rows(_keys_of(names))


def are_advisory_locks_taken(*names: str) -> bool:
    """Take the advisory locks that `take_advisory_locks` takes, without waiting; if False, some may be taken."""
    if not names or database_of_thread().vendor != "postgresql":
        return True
    return bool(_TRY_LOCKS.value(_keys_of(names)))


def _keys_of(names: Iterable[str]) -> list[int]:
    return sorted(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) for name in names)


def drop_broken_connection(*, is_suspect: bool = False) -> None:
    """Close the connection if the server went away, or if it `is_suspect`, so that the next attempt connects anew.

    A SQLite connection that was opened on a read-only file system stays read-only.
    """
    if connection.in_atomic_block:
        return
    if is_suspect:
        connection.close()
    else:
        connection.close_if_unusable_or_obsolete()


def end_request() -> None:
    """Return the connection to the pool; without a pool, close it if it is broken."""
    database = database_of_thread()
    if database.connection is not None and not database.in_atomic_block:
        database.close_if_unusable_or_obsolete()


def release_connection() -> None:
    """Return the connection to the pool before a wait for a client or the storage, outside of a transaction.

    Otherwise four slow clients exhaust a pool of four. A thread's SQLite connection is its own, and stays.
    """
    database = database_of_thread()
    if database.connection is None or database.in_atomic_block:
        return
    if database.settings_dict["OPTIONS"].get("pool"):
        database.close()
