"""What was answered with 200 stays for half the grace period: `used_at` remembers the answer.

A lookup tells whether `used_at` is older than now - grace/2; only then one UPDATE renews it, so a pull writes at
most twice per grace period. The UPDATE touches a row that is there, or none: it proves that the collector
has not taken it in between.
"""

from datetime import timedelta

from django.conf import settings
from django.db import connection

_NOW = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')",
    "postgresql": "statement_timestamp()",
}
_CUT = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-{seconds} seconds')",
    "postgresql": "(statement_timestamp() - interval '{seconds} seconds')",
}


def cut() -> str:
    """Return the SQL of the moment before which a promise needs to be renewed."""
    grace: timedelta = settings.REGISTRY.garbage_collector.grace_period
    return _CUT[connection.vendor].format(seconds=f"{grace.total_seconds() / 2:.3f}")


def renew(table: str, pk: int) -> bool:
    """Promise the row again; False when it is gone, or was renewed by another request just now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET used_at = {_NOW[connection.vendor]} "  # noqa: S608 - constants, no request text
            f"WHERE id = %s AND used_at < {cut()}",
            [pk],
        )
        return bool(cursor.rowcount == 1)
