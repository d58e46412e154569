"""What was answered with 200 stays for half the grace period: `last_used_at` remembers the answer.

A lookup tells whether `last_used_at` is older than now - grace/2; only then one UPDATE renews it, so a pull writes at
most twice per grace period. The UPDATE touches a row that is there, or none: it proves that the collector
has not taken it in between. Where nothing can be written, the read goes on: see `deferred`.
"""

from datetime import timedelta
from functools import lru_cache

from django.conf import settings

from core.db.statement import Statement
from distribution import deferred_writes

_RENEW = {
    "distribution_link": """
UPDATE distribution_link SET last_used_at = statement_timestamp() WHERE id = %s AND last_used_at < {cut}
""",
    "distribution_manifest": """
UPDATE distribution_manifest SET last_used_at = statement_timestamp() WHERE id = %s AND last_used_at < {cut}
""",
}


def statement(sql: str) -> Statement:
    """Return the statement of `sql`, in which `{cut}` is the moment before which a promise needs to be renewed."""
    return _statement(sql, settings.REGISTRY.garbage_collector.grace_period)


@lru_cache(maxsize=64)
def _statement(sql: str, grace: timedelta) -> Statement:
    return Statement(sql.format(cut=f"(statement_timestamp() - interval '{grace.total_seconds() / 2:.3f} seconds')"))


def renew(table: str, pk: int) -> bool | None:
    """Promise the row again; False when it is gone, or was renewed by another request just now.

    None: it can't be written now and will be. A row that is found by a look after this stays until then.
    """
    rows = deferred_writes.write(statement(_RENEW[table]), pk)
    return None if rows is None else rows == 1
