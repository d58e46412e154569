"""The database's time: the one clock that every process and replica shares."""

from datetime import UTC, datetime

from django.db import connection

_NOW = {
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "postgresql": "SELECT statement_timestamp()",
}


def now() -> datetime:
    """Return the database's time."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW[connection.vendor])
        (value,) = cursor.fetchone()
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
