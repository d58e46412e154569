"""What was answered with 200 stays for half the grace period: `used_at` remembers the answer.

A lookup tells whether `used_at` is older than now - grace/2; only then one UPDATE renews it, so a pull writes at
most twice per grace period. The UPDATE touches a row that is there, or none: it proves that the collector
has not taken it in between.
"""

from datetime import timedelta
from functools import lru_cache

from django.conf import settings

from accounts.statement import Statement
from accounts.waiting import waiting

_RENEW = {
    "distribution_link": """
UPDATE distribution_link SET used_at = statement_timestamp() WHERE id = %s AND used_at < {cut}
""",
    "distribution_manifest": """
UPDATE distribution_manifest SET used_at = statement_timestamp() WHERE id = %s AND used_at < {cut}
""",
}


def statement(sql: str) -> Statement:
    """Return the statement of `sql`, in which `{cut}` is the moment before which a promise needs to be renewed."""
    return _statement(sql, settings.REGISTRY.garbage_collector.grace_period)


@lru_cache(maxsize=64)
def _statement(sql: str, grace: timedelta) -> Statement:
    return Statement(sql.format(cut=f"(statement_timestamp() - interval '{grace.total_seconds() / 2:.3f} seconds')"))


def renew(table: str, pk: int) -> bool:
    """Promise the row again; False when it is gone, or was renewed by another request just now."""
    # While another process writes, SQLite lets this one wait.
    with waiting():
        return statement(_RENEW[table]).run(pk) == 1
