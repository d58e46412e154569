"""One place tells from the driver's code what is wrong with the database, and whether to try again."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from core.db import database_fault
from core.db.database_fault import AWAY, BUSY, DAMAGED, DISK, FULL, OTHER, READ_ONLY, ConflictError, Fault, fault_of
from tests.database_errors import caused_by, of_postgresql, of_sqlite

KNOWN: list[tuple[DatabaseError, Fault]] = [
    (of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"), BUSY),
    (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT, "database is locked"), BUSY),
    (of_sqlite(sqlite3.SQLITE_LOCKED, "database table is locked"), BUSY),
    (of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), FULL),
    (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED, "attempt to write a readonly database"), READ_ONLY),
    (of_sqlite(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"), DISK),
    (of_sqlite(sqlite3.SQLITE_CORRUPT, "database disk image is malformed"), DAMAGED),
    (of_sqlite(sqlite3.SQLITE_ERROR, "no such table: distribution_blob"), OTHER),
    (of_postgresql(psycopg.errors.SerializationFailure("could not serialize access")), BUSY),
    (of_postgresql(psycopg.errors.DeadlockDetected("deadlock detected")), BUSY),
    (of_postgresql(psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")), BUSY),
    (of_postgresql(psycopg.errors.QueryCanceled("canceling statement due to statement timeout")), BUSY),
    (of_postgresql(psycopg.errors.OutOfMemory("out of shared memory")), BUSY),
    (of_postgresql(psycopg.errors.ConfigurationLimitExceeded("temporary file size exceeds temp_file_limit")), BUSY),
    (of_postgresql(psycopg.errors.IdleInTransactionSessionTimeout("terminating connection")), AWAY),
    (of_postgresql(psycopg.errors.TransactionTimeout("terminating connection")), AWAY),
    (of_postgresql(psycopg.errors.AdminShutdown("terminating connection")), AWAY),
    (of_postgresql(psycopg.errors.CannotConnectNow("the database system is starting up")), AWAY),
    (of_postgresql(psycopg.errors.TooManyConnections("sorry, too many clients already")), AWAY),
    (of_postgresql(psycopg.OperationalError("server closed the connection unexpectedly")), AWAY),
    (of_postgresql(psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE")), READ_ONLY),
    (of_postgresql(psycopg.errors.DiskFull("could not extend file")), FULL),
    (of_postgresql(psycopg.errors.IoError("could not write block")), DISK),
    (of_postgresql(psycopg.errors.UndefinedTable('relation "distribution_blob" does not exist')), OTHER),
    (of_postgresql(psycopg.ProgrammingError("the query has 0 placeholders but 1 parameters were passed")), OTHER),
    (caused_by(OSError(errno.EROFS, os.strerror(errno.EROFS)), OperationalError), READ_ONLY),
    (caused_by(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OperationalError), FULL),
    (IntegrityError("unique"), OTHER),
    (ConflictError("another process writes"), BUSY),
    (OperationalError("who knows"), OTHER),
]


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_fault, "_logged_at", {})


@pytest.mark.parametrize(
    ("error", "fault"), KNOWN, ids=lambda value: str(value) if isinstance(value, Exception) else ""
)
def test_an_error_is_of_the_kind_that_its_code_says(error: DatabaseError, fault: Fault) -> None:
    assert fault_of(error) == fault


def locked(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        written(file)


def read_only(file: Path) -> None:
    written(file, "PRAGMA query_only = ON")


def full(file: Path) -> None:
    written(file, "PRAGMA max_page_count = 1")


def damaged(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)
    written(file)


def missing(file: Path) -> None:
    written(file, "DROP TABLE one")


def written(file: Path, before: str = "") -> None:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as ours:
        ours.execute(before)
        ours.execute("INSERT INTO one VALUES (zeroblob(100000))")


@pytest.mark.parametrize(
    ("happens", "fault"), [(locked, BUSY), (read_only, READ_ONLY), (full, FULL), (damaged, DAMAGED), (missing, OTHER)]
)
def test_what_sqlite_itself_raises_is_known(tmp_path: Path, happens: Callable[[Path], None], fault: Fault) -> None:
    file = tmp_path / "database"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE one (two)")

    with pytest.raises(sqlite3.DatabaseError) as raised:
        happens(file)

    assert fault_of(caused_by(raised.value, DatabaseError)) == fault


@pytest.mark.parametrize(
    ("words", "fault"), [("SET TRANSACTION READ ONLY; CREATE TABLE one ()", READ_ONLY), ("SELECT * FROM none", OTHER)]
)
def test_what_postgresql_itself_raises_is_known(db: None, words: str, fault: Fault) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL")

    with closing(connection.copy()) as other, pytest.raises(DatabaseError) as raised, other.cursor() as cursor:
        cursor.execute(words)

    assert fault_of(raised.value) == fault


def test_a_fault_is_logged_once_with_a_traceback_only_where_that_tells_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full_disk, other = of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), OperationalError("who knows")

    for error in [full_disk, full_disk, other, full_disk, other]:
        database_fault.report(error)

    assert [record.message for record in caplog.records] == [FULL.reason, OTHER.reason]
    assert [bool(record.exc_info) for record in caplog.records] == [False, True]
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_what_passes_by_itself_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    database_fault.report(of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"))

    assert not caplog.records


def test_who_can_not_be_served_soon_is_told_to_come_back_later() -> None:
    assert 0 < BUSY.retry_after_seconds < FULL.retry_after_seconds
