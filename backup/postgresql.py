"""Dump a PostgreSQL database and list its objects, both of one snapshot; load the dump."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from psycopg import pq

from backup import files, listing, transient_rows
from backup.errors import BackupError
from backup.files import Watch
from backup.listing import Totals
from core.db.setup import where

_POLL_SECONDS = 0.2
_FETCHED = 2000


def dump(target: Path, listed: Path, watch: Watch) -> Totals:
    """Run pg_dump into `target`, and write the list of the dump's objects to `listed`.

    Raises BackupError, psycopg.Error, OSError, and what `watch` raises meanwhile.
    """
    program = _program("pg_dump")
    with psycopg.connect(**_parameters()) as snapshot:
        snapshot.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        snapshot.read_only = True
        snapshot.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        (name,) = snapshot.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        totals = listing.write(listed, _objects(snapshot, watch))
        # The tables stay, without rows.
        without = [f"--exclude-table-data={table}" for table in transient_rows.TABLES]
        options = ["--format=custom", "--no-password", f"--snapshot={name}", f"--file={target}", *without]
        _run([program, *options], watch)
    files.sync(target)
    return totals


def _objects(snapshot: psycopg.Connection[Any], watch: Watch) -> Iterator[tuple[str, int, str]]:
    with snapshot.cursor(name="objects") as cursor:
        cursor.itersize = _FETCHED
        for number, row in enumerate(cursor.execute(listing.QUERY)):
            yield row
            if number % _FETCHED == 0:
                watch()


def refuse_target() -> None:
    """Raise BackupError if the database has tables or is in use. Raises psycopg.Error."""
    _program("pg_restore")
    with psycopg.connect(**_parameters(), autocommit=True) as database:
        others = database.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchone()
        tables = database.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchone()
    if others and others[0]:
        raise BackupError(f"{where()}: others are connected to this database; stop the servers that use it first")
    if tables and tables[0]:
        raise BackupError(f"{where()}: this database has tables already; make an empty one (createdb), and name it")


def load(source: Path, watch: Watch) -> None:
    """Run pg_restore in one transaction. Raises BackupError, OSError, and what `watch` raises."""
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password"]
    database = f"--dbname={connection.settings_dict['NAME']}"
    _run([_program("pg_restore"), *options, database, str(source)], watch)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BackupError(
            f"{name} is not installed; install the client programs of PostgreSQL, of the server's version or newer "
            "(Debian: apt-get install postgresql-client)"
        )
    return found


def _run(command: Sequence[str], watch: Watch) -> None:
    # By the environment of libpq: a password on the command line is visible to every user.
    variables = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    given = {variables[name]: str(value) for name, value in _parameters().items()}
    environment = {variable.decode(): value for variable, value in given.items() if variable is not None}
    with subprocess.Popen(  # noqa: S603 - a program of PostgreSQL, with a path of ours
        command, env=os.environ | environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while process.poll() is None:
                watch()
                time.sleep(_POLL_SECONDS)
            _, errors = process.communicate()
        finally:
            process.kill()
    if process.returncode:
        name = Path(command[0]).name
        raise BackupError(f"{where()}: {name} ended with status {process.returncode}: {' '.join(errors.split())}")


def _parameters() -> dict[str, Any]:
    """Return the connection's parameters that libpq knows."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    return {name: value for name, value in connection.get_connection_params().items() if name in known}
