"""When a collection is due, computed from the recorded runs: a missed run is made up for after a restart."""

from datetime import timedelta

from django.conf import settings
from django.db import connection

from collector.models import Run, State, Trigger
from core.db import clock

# A run that failed or was stopped is retried after this long, or after the interval if that is shorter.
RETRY = timedelta(minutes=10)

_SINCE = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds:.3f} seconds')",
    "postgresql": "(statement_timestamp() - interval '{seconds:.3f} seconds')",
}
# Before the first run the interval counts from the migration that made the table.
_OVERDUE = """
SELECT NOT EXISTS (SELECT 1 FROM gc_run WHERE started_at >= {since} AND state = 'done' AND "trigger" = 'schedule')
AND (
    EXISTS (SELECT 1 FROM gc_run WHERE started_at < {since} AND "trigger" = 'schedule')
    OR EXISTS (SELECT 1 FROM django_migrations WHERE app = 'gc' AND name = '0001_initial' AND applied < {since})
)
"""


def is_due() -> bool:
    """Tell whether the next scheduled run should begin now."""
    section = settings.REGISTRY.garbage_collector
    if not section.is_enabled:
        return False
    now = clock.now()
    # A run in the future is from before the clock was set back: it does not count.
    last = Run.objects.filter(trigger=Trigger.SCHEDULE, started_at__lte=now).first()
    if last is None:
        return True
    wait = section.interval if last.state == State.DONE else min(section.interval, RETRY)
    return last.started_at + wait <= now


def is_overdue() -> bool:
    """Tell whether collection is enabled and no scheduled run was done for two intervals."""
    with connection.cursor() as cursor:
        cursor.execute(overdue_sql())
        (is_late,) = cursor.fetchone()
    return settings.REGISTRY.garbage_collector.is_enabled and bool(is_late)


def overdue_sql() -> str:
    """Return the SELECT that tells whether a scheduled run is overdue.

    The health check runs it on a connection of its own, and learns too whether the database answers.
    """
    seconds = 2 * settings.REGISTRY.garbage_collector.interval.total_seconds()
    return _OVERDUE.format(since=_SINCE[connection.vendor].format(seconds=seconds))
