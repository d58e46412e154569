"""`last_used_at`: when a client was last told that a row exists. The collector keeps the row for half the grace period.

A query tells whether `last_used_at` is older than now - grace/2; only then one UPDATE touches the row, so a pull
writes at most twice per grace period. An UPDATE that changes the row proves that the collector has not removed it.
Where nothing can be written, the read succeeds all the same: see `deferred_writes`.
"""

from datetime import timedelta
from functools import lru_cache

from django.conf import settings

from core.db.statement import Statement
from distribution import deferred_writes

_TOUCH = {
    "distribution_link": """
UPDATE distribution_link SET last_used_at = statement_timestamp() WHERE id = %s AND last_used_at < {stale_before}
""",
    "distribution_manifest": """
UPDATE distribution_manifest SET last_used_at = statement_timestamp() WHERE id = %s AND last_used_at < {stale_before}
""",
}


def statement(sql: str) -> Statement:
    """Return the statement of `sql`, in which `{stale_before}` is the time before which a row has to be touched."""
    return _statement(sql, settings.REGISTRY.garbage_collector.grace_period)


@lru_cache(maxsize=64)
def _statement(sql: str, grace: timedelta) -> Statement:
    half = f"{grace.total_seconds() / 2:.3f} seconds"
    return Statement(sql.format(stale_before=f"(statement_timestamp() - interval '{half}')"))


def touch(table: str, pk: int) -> bool | None:
    """Set the row's `last_used_at` to now; False when the row is gone, or another request has just touched it.

    None means that nothing can be written now: the write is deferred, and until then the collector removes no row that
    a later query finds.
    """
    rows = deferred_writes.write(statement(_TOUCH[table]), pk)
    return None if rows is None else rows == 1
