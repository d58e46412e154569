"""When collection is due, as rows tell: a restart forgets nothing, and a missed run is caught up."""

from datetime import timedelta

from django.conf import settings
from django.db import connection

from collector.models import Run, State, Trigger
from core.db import clock

# A run that failed or was stopped is tried again after this long, if the interval is not shorter.
RETRY = timedelta(minutes=10)

_SINCE = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds:.3f} seconds')",
    "postgresql": "(statement_timestamp() - interval '{seconds:.3f} seconds')",
}
# Where no run ever began, what there is to be late for is as old as the table of runs.
_OVERDUE = """
SELECT NOT EXISTS (SELECT 1 FROM gc_run WHERE started_at >= {since} AND state = 'done' AND "trigger" = 'schedule')
AND (
    EXISTS (SELECT 1 FROM gc_run WHERE started_at < {since} AND "trigger" = 'schedule')
    OR EXISTS (SELECT 1 FROM django_migrations WHERE app = 'gc' AND name = '0001_initial' AND applied < {since})
)
"""


def is_due() -> bool:
    """Tell whether the next run of the schedule should begin now."""
    section = settings.REGISTRY.garbage_collector
    if not section.is_enabled:
        return False
    now = clock.now()
    # A run in the future is of a clock that was set back since: nobody waits until then.
    last = Run.objects.filter(trigger=Trigger.SCHEDULE, started_at__lte=now).first()
    if last is None:
        return True
    wait = section.interval if last.state == State.DONE else min(section.interval, RETRY)
    return last.started_at + wait <= now


def is_overdue() -> bool:
    """Tell whether collection is enabled and no run of the schedule was done for more than two intervals."""
    with connection.cursor() as cursor:
        cursor.execute(overdue_sql())
        (is_late,) = cursor.fetchone()
    return settings.REGISTRY.garbage_collector.is_enabled and bool(is_late)


def overdue_sql() -> str:
    """Return the statement that tells whether a run of the schedule should have been done, and was not.

    A probe asks it together with whether the database answers, on any connection.
    """
    seconds = 2 * settings.REGISTRY.garbage_collector.interval.total_seconds()
    return _OVERDUE.format(since=_SINCE[connection.vendor].format(seconds=seconds))
