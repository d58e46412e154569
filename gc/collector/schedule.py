"""When collection is due, as rows tell: a restart forgets nothing, and a missed run is caught up."""

from datetime import timedelta

from django.conf import settings

from collector import clock
from collector.models import Run, State, Trigger

# A run that failed or was stopped is tried again after this long, if the interval is not shorter.
RETRY = timedelta(minutes=10)


def is_due() -> bool:
    """Tell whether the next run of the schedule should begin now."""
    section = settings.REGISTRY.garbage_collector
    if not section.is_enabled:
        return False
    last = Run.objects.filter(trigger=Trigger.SCHEDULE).first()
    if last is None:
        return True
    wait = section.interval if last.state == State.DONE else min(section.interval, RETRY)
    return last.started_at + wait <= clock.now()


def is_overdue() -> bool:
    """Tell whether collection is enabled and no run of the schedule was done for more than two intervals."""
    section = settings.REGISTRY.garbage_collector
    runs = Run.objects.filter(trigger=Trigger.SCHEDULE)
    since = clock.now() - 2 * section.interval
    return bool(
        section.is_enabled
        and runs.filter(started_at__lt=since).exists()
        and not runs.filter(started_at__gte=since, state=State.DONE).exists()
    )
