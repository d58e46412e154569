"""The database at start: does it answer, is its schema this version's, and who may change it now."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections

from core.db import schema
from core.db.sqlite3.base import make_file
from core.lock_file import open_lock_file
from core.start_error import StartError

# Any number that no other program takes as a lock in the same database; these are the letters "regi".
_ADVISORY_LOCK = 0x72656769
_WAIT_FOR_OTHER_START = "10min"
_VARIABLE = "REGISTRY_DATABASE_URL"


@contextmanager
def prepared() -> Iterator[None]:
    """Connect, take the lock of the start, and leave no connection behind, since workers are forked next.

    Raises StartError when the database does not answer.
    """
    with _without_pool():
        try:
            with _explained(DatabaseError, OSError):
                _connect()
            with _explained(OperationalError), _alone():
                yield
        finally:
            connections.close_all()


def lock_until_commit() -> None:
    """Wait in a transaction until no other process imports; SQLite's transaction is such a lock itself."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])


def refuse_newer() -> None:
    """Raise StartError when the database is of a newer version: what this one writes may break it."""
    if unknown := schema.newer(schema.applied()):
        raise StartError(
            f"database.url: {where()}: the database is of a newer version of the registry ({unknown[0]}); "
            "start that version, or restore a backup"
        )


def migrate() -> list[str]:
    """Bring the schema to this version, and return the migrations that this took; none for a new database.

    Always, not only when a migration is missing: what a crash left out behind the last migration (the
    triggers of the permissions version) is made good. Raises StartError when the database is of a newer version or
    refuses it.
    """
    try:
        before = schema.applied()
        refuse_newer()
        call_command("migrate", interactive=False, verbosity=0)
        return sorted(schema.applied() - before) if before else []
    except OperationalError:
        raise
    except DatabaseError as error:
        raise StartError(
            f"database.url: {where()}: the tables can't be made or changed ({' '.join(str(error).split())}); "
            "name a database of the registry's own, whose user may make tables in it (PostgreSQL: its owner may)"
        ) from error


def _connect() -> None:
    if connection.vendor == "sqlite":
        path = connection.settings_dict["NAME"]
        make_file(path)
        # Says why it can't be written, which SQLite does not.
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    connection.ensure_connection()


@contextmanager
def _without_pool() -> Iterator[None]:
    """Connect directly: a pool says after seconds what a connection says at once, and has threads."""
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
        raise StartError(f"database.url: {where()}: {reason}; {_remedy()}") from error


def where() -> str:
    """Return the database's URL without its password."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    user = f"{values['USER']}@" if values["USER"] else ""
    port = f":{values['PORT']}" if values["PORT"] else ""
    return f"{connection.vendor}://{user}{values['HOST']}{port}/{values['NAME']}"


def _remedy() -> str:
    is_in_environment = _VARIABLE in os.environ
    setting = _VARIABLE if is_in_environment else f"database.url in {settings.REGISTRY.path or 'config.yaml'}"
    if connection.vendor == "sqlite":
        return f"make file and folder writable for user id {os.geteuid()}, or change {setting}"
    return f"start the database, or change {setting}"


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other start is at work on this database."""
    lock = _alone_in_folder if connection.vendor == "sqlite" else _alone_in_postgresql
    with lock():
        yield


@contextmanager
def _alone_in_folder() -> Iterator[None]:
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
def _alone_in_postgresql() -> Iterator[None]:
    # A session's lock, since a migration has transactions of its own; it ends with the connection.
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [_WAIT_FOR_OTHER_START])
        cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        cursor.execute("RESET lock_timeout")
    yield
