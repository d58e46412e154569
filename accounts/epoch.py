"""The rights epoch: a value that differs after every change of account, membership, password or rule.

Triggers in the database replace it, in the transaction of the change and whoever makes it: admin, import,
bulk update or a person with a database shell. The value is random rather than counted, so that a rollback
or a restored backup can never bring back a value that some process remembers for other rights.
"""

from collections.abc import Sequence

from django.db import connections, transaction

from core.db.statement import Statement

_READ = Statement("SELECT value FROM accounts_rightsepoch WHERE id = 1")

_RANDOM = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()::text"}


class MissingEpochError(Exception):
    """The table has no row: the database was not migrated to the end."""


def current() -> str:
    """Return the epoch of this moment, in one statement that needs no query building.

    Raises MissingEpochError when there is none: rights can't be judged then.
    """
    row = _READ.row()
    if row is None:
        raise MissingEpochError("accounts_rightsepoch is empty; run `manage.py migrate`")
    return str(row[0])


def ensure(using: str = "default") -> None:
    """Insert the row when it is missing."""
    database = connections[using]
    value = _RANDOM[database.vendor]
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO accounts_rightsepoch (id, value) SELECT 1, {value} "
            "WHERE NOT EXISTS (SELECT 1 FROM accounts_rightsepoch WHERE id = 1)"
        )


def renew(using: str = "default") -> None:
    """Replace the value: every process judges all rights anew."""
    database = connections[using]
    with database.cursor() as cursor:
        cursor.execute(f"UPDATE accounts_rightsepoch SET value = {_RANDOM[database.vendor]} WHERE id = 1")


def watch(using: str, table: str, columns: Sequence[str] = ()) -> None:
    """Replace the epoch with every insert, delete, truncation or update of `table` (of `columns` only, when given).

    Called after each migration, since SQLite drops a table's triggers when a migration rebuilds the table. All of its
    triggers are replaced in one transaction, so that no change falls between an old one and its successor. The epoch
    is renewed after it: a change of the time before, when a trigger may have been missing, counts now. Not within it:
    a transaction that holds the epoch's row and waits for the table would be a deadlock.
    """
    events = {
        "insert": "INSERT",
        "delete": "DELETE",
        "update": f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE",
    }
    install = _watch_on_sqlite
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
