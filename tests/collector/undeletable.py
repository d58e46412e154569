"""A row that the database refuses to delete."""

from django.db import connection

_REFUSE = {
    "sqlite": (
        "CREATE TRIGGER broken BEFORE DELETE ON {table} WHEN OLD.id = {pk} BEGIN SELECT RAISE(ABORT, 'broken'); END"
    ),
    "postgresql": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
        "CREATE TRIGGER broken BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.id = {pk}) EXECUTE FUNCTION broken()"
    ),
}


def break_deletion(table: str, pk: int) -> None:
    """Let the database refuse to delete one row, for the rest of the test."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE[connection.vendor].format(table=table, pk=pk))
