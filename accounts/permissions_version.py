"""The permissions version: a random value that every change of an account, membership, password or rule replaces.

Database triggers replace it in the transaction of the change, which may come from the admin, the import, a bulk update
or a database shell. A counter could repeat a value after a rollback or a restored backup, and a process may have cached
permissions for it.
"""

from collections.abc import Sequence

from django.db import connections, transaction

from core.db.statement import Statement, database_of_thread

IN_SQL = "(SELECT value FROM accounts_rightsepoch WHERE id = 1)"
"""The current version as an expression, for a statement that reads rows and tells which permissions they are of."""

_READ = Statement(IN_SQL.strip("()"))
_last_read: str | None = None

_RANDOM = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()::text"}


class MissingVersionError(Exception):
    """The table has no row: the migrations are incomplete."""


def current() -> str:
    """Return the current version in one statement. Raises MissingVersionError."""
    global _last_read  # noqa: PLW0603 - one version a database
    row = _READ.row()
    if row is None:
        raise MissingVersionError("accounts_rightsepoch is empty; run `manage.py migrate`")
    version = str(row[0])
    # A transaction may see its own, which others must not take for one of committed rows.
    if not database_of_thread().in_atomic_block:
        _last_read = version
    return version


def last_read() -> str:
    """Return the version that this process read last, without a statement: the caller compares it with the current."""
    return _last_read or current()


def ensure(using: str = "default") -> None:
    """Insert the row if it is missing."""
    database = connections[using]
    value = _RANDOM[database.vendor]
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO accounts_rightsepoch (id, value) SELECT 1, {value} "
            "WHERE NOT EXISTS (SELECT 1 FROM accounts_rightsepoch WHERE id = 1)"
        )


def renew(using: str = "default") -> None:
    """Replace the value, which invalidates the permission caches of every process."""
    database = connections[using]
    with database.cursor() as cursor:
        cursor.execute(f"UPDATE accounts_rightsepoch SET value = {_RANDOM[database.vendor]} WHERE id = 1")


def watch(using: str, table: str, columns: Sequence[str] = (), *, with_inserts: bool = True) -> None:
    """Create the triggers that replace the version at each insert, delete, truncate or update of `table`.

    With `columns`, only an update of these counts; without `with_inserts`, no new row does. It runs after each
    migration, because SQLite drops the triggers of a table that a migration rebuilds. One transaction replaces all
    triggers, so no change is missed between two of them.
    The version is replaced after it, for changes made while a trigger was missing; within it, a transaction that holds
    the version's row and waits for the table would deadlock.
    """
    events = {
        "insert": "INSERT",
        "delete": "DELETE",
        "update": f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE",
    }
    install = _watch_on_sqlite
    if not with_inserts:
        del events["insert"]
    if connections[using].vendor == "postgresql":
        install = _watch_on_postgresql
        events["truncate"] = "TRUNCATE"
    with transaction.atomic(using):
        for event, clause in events.items():
            install(using, table, event, clause)
    renew(using)


def _watch_on_sqlite(using: str, table: str, event: str, clause: str) -> None:
    name = f"rights_epoch_{table}_{event}"
    with connections[using].cursor() as cursor:
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        cursor.execute(
            f"CREATE TRIGGER {name} AFTER {clause} ON {table} BEGIN "
            f"UPDATE accounts_rightsepoch SET value = {_RANDOM['sqlite']} WHERE id = 1; END"
        )


def _watch_on_postgresql(using: str, table: str, event: str, clause: str) -> None:
    name = f"rights_epoch_{table}_{event}"
    with connections[using].cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION rights_epoch_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"UPDATE accounts_rightsepoch SET value = {_RANDOM['postgresql']} WHERE id = 1; RETURN NULL; END $$"
        )
        cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        cursor.execute(
            f"CREATE TRIGGER {name} AFTER {clause} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION rights_epoch_change()"
        )
