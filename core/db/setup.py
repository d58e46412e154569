"""Prepare the database at start: connect, compare its schema with this version's, migrate under a lock."""

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, OperationalError, connection, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from core.db.sqlite3.base import make_file
from core.lock_file import open_lock_file
from core.start_error import StartError

logger = logging.getLogger(__name__)

# Any number that no other program takes as a lock in the same database; these are the letters "regi".
START_LOCK = 0x72656769
UNFINISHED_COPY = "registry_unfinished_copy"
"""A table that `manage.py migratedb` makes first in its target, and removes last."""
_WAIT_FOR_OTHER_START = 600.0
_POLL_SECONDS = 0.1
_VARIABLE = "REGISTRY_DATABASE_URL"


@contextmanager
def prepared() -> Iterator[None]:
    """Connect, take the start lock, and close every connection afterwards, since workers are forked next.

    Raises StartError when the database does not answer.
    """
    with _without_pool():
        try:
            with _explained(DatabaseError, OSError):
                if connection.vendor == "sqlite":
                    path = connection.settings_dict["NAME"]
                    make_file(path)
                    # Unlike SQLite's error, that of `open` says why the file can't be written.
                    os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
                connection.ensure_connection()
            with _explained(OperationalError), _file_lock() if connection.vendor == "sqlite" else _advisory_lock():
                yield
        finally:
            connections.close_all()


def checkpoint() -> None:
    """Let SQLite move what its log still has into the database, so that the file alone is complete.

    SQLite does so when the last connection is closed; a process that ends or is killed with an open one leaves the log.
    """
    if connection.vendor != "sqlite" or not os.path.exists(f"{connection.settings_dict['NAME']}-wal"):  # noqa: PTH110 - a string all along
        return
    try:
        with connection.cursor() as cursor:
            # Opens the log, which the close then moves.
            cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except DatabaseError as error:
        logger.warning("the log of SQLite stays beside the database: %s", error)
    finally:
        connection.close()


def lock_until_commit() -> None:
    """Take the start lock until the end of the transaction; on SQLite the transaction itself is that lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [START_LOCK])


def applied_migrations() -> set[str]:
    """Return the database's migrations as "app.name", none when it has no tables."""
    return {f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()}


def newer_migrations(migrations: Iterable[str]) -> list[str]:
    """Return those of `migrations` that only a newer version knows, in order."""
    files = MigrationLoader(None).disk_migrations
    known = {f"{app}.{name}" for app, name in files}
    known.update(f"{app}.{name}" for migration in files.values() for app, name in migration.replaces)
    return sorted(set(migrations) - known)


def refuse_newer() -> None:
    """Raise StartError when the database is of a newer version, which this one may break, or an unfinished copy."""
    if UNFINISHED_COPY in connection.introspection.table_names():
        raise StartError(
            f"database.url: {where()}: an unfinished copy of another database; run `manage.py migratedb` again with "
            "the configuration of that one, which starts over"
        )
    if unknown := newer_migrations(applied_migrations()):
        raise StartError(
            f"database.url: {where()}: the database is of a newer version of the registry ({unknown[0]}); "
            "start that version, or restore a backup"
        )


def migrate() -> list[str]:
    """Bring the schema to this version, and return the migrations that were applied; none for a new database.

    The signal handlers after a migration run even when none is missing: a crash may have prevented them after the last
    one, and they create triggers. Raises StartError when the database is of a newer version or refuses a migration.
    """
    try:
        before = applied_migrations()
        refuse_newer()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        else:
            # `migrate` would compute the models of all migrations first: a tenth of the CPU of a start.
            executor.loader.check_consistent_history(connection)
            executor.check_replacements()
            emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)
        return sorted(applied_migrations() - before) if before else []
    except OperationalError:
        raise
    except InconsistentMigrationHistory as error:
        raise StartError(f"database.url: {where()}: {error} Restore a backup.") from error
    except DatabaseError as error:
        raise StartError(
            f"database.url: {where()}: the tables can't be made or changed ({' '.join(str(error).split())}); "
            "name a database of the registry's own, whose user may make tables in it (PostgreSQL: its owner may)"
        ) from error


@contextmanager
def _without_pool() -> Iterator[None]:
    """Connect directly: a pool reports a failure only after seconds, and has threads."""
    options = connection.settings_dict["OPTIONS"]
    pool = options.pop("pool", None)
    try:
        yield
    finally:
        if pool is not None:
            options["pool"] = pool


@contextmanager
def _explained(*expected: type[Exception]) -> Iterator[None]:
    try:
        yield
    except expected as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        remedy = "start the database"
        if connection.vendor == "sqlite":
            remedy = f"make file and folder writable for user id {os.geteuid()}"
        setting = _VARIABLE if _VARIABLE in os.environ else f"database.url in {settings.REGISTRY.path or 'config.yaml'}"
        raise StartError(f"database.url: {where()}: {reason}; {remedy}, or change {setting}") from error


def where() -> str:
    """Return the database's URL without its password."""
    values = connection.settings_dict
    return f"sqlite:///{values['NAME']}" if connection.vendor == "sqlite" else postgresql_url(values)


def postgresql_url(values: Mapping[str, Any]) -> str:
    """Return the URL of Django's settings of a PostgreSQL, without its password."""
    user = f"{values['USER']}@" if values.get("USER") else ""
    port = f":{values['PORT']}" if values.get("PORT") else ""
    return f"postgresql://{user}{values.get('HOST', '')}{port}/{values['NAME']}"


@contextmanager
def _file_lock() -> Iterator[None]:
    path = f"{connection.settings_dict['NAME']}.lock"
    try:
        file = open_lock_file(path)
    except OSError as error:
        raise StartError(
            f"{path}: {error.strerror}; remove it if it is a link, and make it and its folder writable "
            f"for user id {os.geteuid()}"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def _advisory_lock() -> Iterator[None]:
    # A session-level lock, since a migration has transactions of its own; it ends with the connection. A statement that
    # waits for it has a snapshot, for whose end a CREATE INDEX CONCURRENTLY of the other start waits in turn.
    deadline = monotonic() + _WAIT_FOR_OTHER_START
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [START_LOCK])
            if cursor.fetchone() == (True,):
                break
            if monotonic() > deadline:
                raise OperationalError("another server has been preparing the database for ten minutes")
            sleep(_POLL_SECONDS)
    yield
