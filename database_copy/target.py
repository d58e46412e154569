"""The PostgreSQL database to fill: empty, or with an unfinished copy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from core.db.setup import START_LOCK, UNFINISHED_COPY, postgresql_url
from database_copy.errors import CopyError, InUseError
from database_copy.tables import Table

# Its name among Django's databases while the tables are made.
ALIAS = "target"
_CONNECT_SECONDS = 10
_MARK = sql.Identifier(UNFINISHED_COPY)


class Target:
    """The database at `where`, which is its URL without the password."""

    def __init__(self, where: str, connection: psycopg.Connection[Any]) -> None:
        self.where = where
        self._connection = connection

    def lock(self) -> None:
        """Keep servers from starting on it until the end of the connection. Raises InUseError."""
        (is_locked,) = self._one("SELECT pg_try_advisory_lock(%s)", START_LOCK)
        if not is_locked:
            raise InUseError(f"{self.where}: a server is starting on this database, or another copy into it is running")

    def unfinished_since(self) -> datetime | None:
        """Return when an unfinished copy began, None for an empty database. Raises CopyError for any other."""
        (encoding,) = self._one(
            "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        )
        if encoding != "UTF8":
            raise CopyError(
                f"{self.where}: its encoding is {encoding}; make a database with ENCODING 'UTF8', and name it"
            )
        (tables,) = self._one(
            "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        if not tables:
            return None
        (is_marked,) = self._one("SELECT to_regclass(%s) IS NOT NULL", UNFINISHED_COPY)
        if not is_marked:
            name = urlsplit(self.where).path.removeprefix("/")
            raise CopyError(
                f"{self.where}: this database has tables already, and nothing in it is overwritten. Make an empty one "
                f'and name it, or if this one is of no use any more: DROP DATABASE "{name}"; CREATE DATABASE "{name}";'
            )
        row = self._connection.execute(sql.SQL("SELECT begun_at FROM {}").format(_MARK)).fetchone()
        return row[0] if row else None

    def mark(self, source: str) -> None:
        """Mark it as an unfinished copy of `source`. Raises psycopg.Error."""
        with self._connection.transaction():
            self._execute("CREATE TABLE IF NOT EXISTS {} (source text NOT NULL, begun_at timestamptz NOT NULL)", _MARK)
            self._execute("TRUNCATE {}", _MARK)
            values = sql.SQL("INSERT INTO {} VALUES (%s, statement_timestamp())").format(_MARK)
            self._connection.execute(values, [source])

    def empty(self, tables: Sequence[Table]) -> None:
        """Delete all rows: those that migrations make, and those of an unfinished copy."""
        self._execute("TRUNCATE {}", sql.SQL(", ").join(sql.Identifier(table.name) for table in tables))

    @contextmanager
    def copied_into(self, table: Table) -> Iterator[psycopg.Copy]:
        """Open a COPY into the table; its rows are committed at the end of the block."""
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
        with self._connection.transaction(), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield copy

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """Yield the rows in the order of SQLite's primary key, in constant memory."""
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        order = sql.SQL(' COLLATE "C"') if table.is_key_text() else sql.SQL("")
        query = sql.SQL("SELECT {} FROM {} ORDER BY {}{}").format(
            columns, sql.Identifier(table.name), sql.Identifier(table.key), order
        )
        with self._connection.cursor() as cursor:
            described = cursor.execute(sql.SQL("{} LIMIT 0").format(query)).description or []
            with cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
                copy.set_types([column.type_code for column in described])
                yield from copy.rows()

    def finish(self, numbers: dict[Table, int]) -> None:
        """Let each sequence go on after its last number, and remove the mark."""
        with self._connection.transaction():
            for table, number in numbers.items():
                self._connection.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), %s, %s)",
                    [f'"{table.name}"', table.key, max(number, 1), number > 0],
                )
            # The commits before did not wait for the disk; this one makes them durable.
            self._execute("SET LOCAL synchronous_commit = on")
            self._execute("DROP TABLE {}", _MARK)
        self._execute("ANALYZE")

    def _execute(self, statement: str, *names: sql.Composable) -> None:
        self._connection.execute(sql.SQL(statement).format(*names))

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._connection.execute(query.encode(), values).fetchone() or ()
        return found


@contextmanager
def connected(url: str) -> Iterator[Target]:
    """Connect to the database at `url`. Raises CopyError."""
    where = without_password(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            options="-c TimeZone=UTC -c synchronous_commit=off -c lock_timeout=10s -c statement_timeout=0",
        )
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise CopyError(
            f"{where}: {reason}; check host, port, name and password of --to (or PGPASSWORD), and that it runs"
        ) from error
    with connection:
        yield Target(where, connection)


def without_password(url: str) -> str:
    """Return a URL to show. Raises CopyError if it is not one of PostgreSQL."""
    try:
        values = dj_database_url.parse(url) if url.startswith(("postgres://", "postgresql://")) else {}
    except ValueError:
        values = {}
    if not values.get("NAME"):
        raise CopyError("--to: expected a URL as postgresql://user:password@host:5432/name")
    return postgresql_url(values)


def make_tables(url: str) -> None:
    """Run the migrations in the database at `url`. Raises django.db.Error."""
    values = {**dj_database_url.parse(url), "ENGINE": "core.db.postgresql"}
    known = connections.settings
    known[ALIAS] = connections.configure_settings({"default": known["default"], ALIAS: values})[ALIAS]
    try:
        call_command("migrate", database=ALIAS, interactive=False, verbosity=0)
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del known[ALIAS]
