"""Runs requested in the admin: rows that wait until a process beside the server performs them."""

from django.db.models.functions import Now

from collector import lease, runs
from collector.models import Job, Run, State, Trigger
from collector.policy import Policy
from collector.report import Report
from core.db import clock, transactions

WAITING = (
    "A run is requested already and has not begun: another one is in progress, or no process runs the jobs. It can be "
    "withdrawn on its page."
)


class WaitingError(Exception):
    """A requested run waits already."""


def add(run: Run, started_by: str) -> None:
    """Request `run`, which has its policy, in the name of `started_by`. Raises WaitingError."""
    run.state, run.trigger, run.started_by = State.REQUESTED, Trigger.ADMIN, started_by
    run.started_at = clock.now()
    transactions.run(_add, run)


def _add(run: Run) -> None:
    # Otherwise two concurrent requests miss each other.
    transactions.take_advisory_locks("requested run")
    if has_waiting():
        raise WaitingError
    run.save(force_insert=True)


def has_waiting() -> bool:
    """Tell whether a requested run waits."""
    return Run.objects.filter(state=State.REQUESTED).exists()


def may_begin() -> bool:
    """Tell whether a requested run waits while no other run is in progress."""
    return has_waiting() and not lease.is_taken(Job.COLLECTION)


def withdraw(run: Run, withdrawn_by: str) -> bool:
    """Withdraw `run` in the name of `withdrawn_by`; False means that it has begun, or was withdrawn already."""
    rows = Run.objects.filter(pk=run.pk, state=State.REQUESTED)
    ended = {"state": State.WITHDRAWN, "error": f"withdrawn by {withdrawn_by}", "ended_at": Now()}
    return bool(transactions.run(rows.update, **ended))


def perform_next(watch: runs.Watch | None = None) -> Run | None:
    """Perform the oldest requested run and return its row; None means that there is none, or it was withdrawn.

    Raises what `runs.collect` raises.
    """
    with lease.acquire(Job.COLLECTION) as own_lease:
        run = Run.objects.filter(state=State.REQUESTED).order_by("started_at", "pk").first()
        if run is None:
            return None
        policy = Policy(run.grace_period, run.remove_untagged, run.repository, run.plan_id)
        try:
            return runs.perform(own_lease, run, policy, Report(), watch)
        except runs.WithdrawnError:
            return None
