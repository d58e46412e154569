"""The SQLite database to copy: locked against other processes, and never written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.db.other_sessions import FileInUseError, alone_in
from database_copy.errors import CopyError, InUseError
from database_copy.tables import Table

# A server keeps its connections open; those of a command end sooner.
_WAIT_SECONDS = 2


class Source:
    """The rows of the file at `path`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def migrations(self) -> set[str]:
        """Return the applied migrations as "app.name". Raises CopyError for a database of something else."""
        try:
            rows = self._connection.execute("SELECT app, name FROM django_migrations").fetchall()
        except sqlite3.OperationalError as error:
            raise CopyError(f"{self.path}: not a database of the registry ({error})") from error
        return {f"{app}.{name}" for app, name in rows}

    def count(self, table: Table) -> int:
        """Return the number of rows."""
        (count,) = self._connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()  # noqa: S608 - its own
        return int(count)

    def rows(self, table: Table, *, is_json_parsed: bool) -> Iterator[list[Any]]:
        """Yield the rows by primary key, in constant memory."""
        columns = ", ".join(f'"{column}"' for column in table.columns)
        query = f'SELECT {columns} FROM "{table.name}" ORDER BY "{table.key}"'  # noqa: S608 - its own
        return table.converted(iter(self._connection.execute(query)), is_json_parsed=is_json_parsed)

    def last_number(self, table: Table) -> int:
        """Return the greatest primary key that was ever given out, also to a row that is deleted; 0 means none."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        (number,) = self._connection.execute(query, [table.name]).fetchone() or (0,)
        (greatest,) = self._connection.execute(f'SELECT max("{table.key}") FROM "{table.name}"').fetchone()  # noqa: S608 - its own
        return max(int(number), int(greatest or 0))


@contextmanager
def locked(path: Path) -> Iterator[Source]:
    """Open the database at `path`, alone. Raises CopyError, InUseError, sqlite3.Error."""
    if not path.exists():
        raise CopyError(f"{path}: no such database; there is nothing to copy")
    try:
        with alone_in(path, _WAIT_SECONDS) as connection:
            # The connection refuses to write from here on.
            connection.execute("PRAGMA query_only = ON")
            yield Source(path, connection)
    except FileInUseError as error:
        raise InUseError(
            f"{path}: a server or command is using this database; stop it, so that nothing is pushed meanwhile"
        ) from error
