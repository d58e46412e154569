"""Other processes of the registry that use the database now: servers and commands."""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection, connections

_PREFIX = "registry-"
APPLICATION_NAME = f"{_PREFIX}{secrets.token_hex(4)}"
"""The name of the sessions of this process and its forks in PostgreSQL; others differ."""

# A process that was killed, or is ending, leaves its session for a moment.
_WAIT_SECONDS = 10

_SESSION = """
SELECT pid, client_addr FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, %s) AND application_name <> %s
ORDER BY backend_start LIMIT 1
"""


class FileInUseError(Exception):
    """Another process has the SQLite database open."""


def find() -> str:
    """Return who else uses the database, as far as this can be told; empty means nobody."""
    return _of_sqlite() if connection.vendor == "sqlite" else _of_postgresql()


def _of_sqlite() -> str:
    # This process's own connections would be in the way.
    connections.close_all()
    path = Path(connection.settings_dict["NAME"]).absolute()
    try:
        with alone_in(path, _WAIT_SECONDS):
            return ""
    except FileInUseError:
        return f"a process has {path} open"


@contextmanager
def alone_in(path: Path, patience: float) -> Iterator[sqlite3.Connection]:
    """Open a SQLite database exclusively: in this mode the first read fails while another process has the file open.

    Other processes are refused until the end. Raises FileInUseError after `patience` seconds, sqlite3.Error.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience)) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            database.execute("BEGIN")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            raise FileInUseError from error
        yield database


def _of_postgresql() -> str:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_SESSION, [_PREFIX, APPLICATION_NAME])
            found = cursor.fetchone()
        if found is None:
            return ""
        if time.monotonic() > deadline:
            pid, address = found
            return f"a session of the registry is open in PostgreSQL (process {pid}, from {address or 'its machine'})"
        time.sleep(0.2)
