"""Runs that somebody asked for in the admin: rows that wait until a process beside the server does them."""

from django.db.models.functions import Now

from collector import lease, runs
from collector.models import Job, Run, State, Trigger
from collector.policy import Policy
from collector.report import Report
from core.db import clock, transactions


def add(run: Run, started_by: str) -> None:
    """Ask for `run`, which says what and where, in the name of `started_by`."""
    run.state, run.trigger, run.started_by = State.REQUESTED, Trigger.ADMIN, started_by
    run.started_at = clock.now()
    transactions.run(run.save, force_insert=True)


def is_any() -> bool:
    """Tell whether a run waits."""
    return Run.objects.filter(state=State.REQUESTED).exists()


def may_begin() -> bool:
    """Tell whether a run waits, and for no other run."""
    return is_any() and not lease.is_held(Job.COLLECTION)


def withdraw(run: Run, withdrawn_by: str) -> bool:
    """Let the run not happen, in the name of `withdrawn_by`; False when it has begun, or does not wait any more."""
    rows = Run.objects.filter(pk=run.pk, state=State.REQUESTED)
    ended = {"state": State.WITHDRAWN, "error": f"withdrawn by {withdrawn_by}", "ended_at": Now()}
    return bool(transactions.run(rows.update, **ended))


def perform_next(watch: runs.Watch | None = None) -> Run | None:
    """Do the run that waits longest and return its row, None when it is withdrawn or none waits.

    Raises what `runs.collect` raises.
    """
    with lease.hold(Job.COLLECTION) as held:
        run = Run.objects.filter(state=State.REQUESTED).order_by("started_at", "pk").first()
        if run is None:
            return None
        policy = Policy(run.grace_period, run.remove_untagged, run.repository)
        try:
            return runs.perform(held, run, policy, Report(), watch)
        except runs.WithdrawnError:
            return None
