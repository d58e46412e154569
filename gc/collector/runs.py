"""Collect, or find what that would be, and leave a row about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db.models.functions import Now

from collector import collection, history, lease, schedule
from collector.dry_run import estimate
from collector.lease import Held
from collector.models import Job, Run, State, Trigger
from collector.policy import Policy
from collector.report import Report
from collector.throttle import StopError, Throttle
from core.db import clock, transactions
from core.failpoints import failpoint

Watch = Callable[[], None]

_COUNTS = (
    *("manifests", "links", "blobs", "uploads", "objects_deleted"),
    *("freed_bytes", "later_bytes", "busy", "failures"),
)


class WithdrawnError(Exception):
    """Whoever asked for the run has withdrawn it."""


def collect(
    policy: Policy, report: Report, trigger: Trigger, *, started_by: str = "", watch: Watch | None = None
) -> Run:
    """Collect under `policy`, counted in `report`, and return the row of the run.

    `watch` is called after each step; a StopError from it ends the run, which counts as stopped early. Raises
    HeldError when another process is collecting, and whatever ends the run, which the row tells too.
    """
    with lease.hold(Job.COLLECTION) as held:
        return perform(held, Run(trigger=trigger, started_by=started_by), policy, report, watch)


def collect_if_due(report: Report, watch: Watch | None = None) -> Run | None:
    """Collect as configured if the schedule says so, whoever else has just done it. Raises what `collect` raises."""
    with lease.hold(Job.COLLECTION) as held:
        if not schedule.is_due():
            return None
        return perform(held, Run(trigger=Trigger.SCHEDULE), Policy.configured(), report, watch)


def perform(held: Held, run: Run, policy: Policy, report: Report, watch: Watch | None) -> Run:
    """Do the run, a dry one too, whose lease is `held`; its row tells now and then how far it is.

    Raises WithdrawnError when it was asked for and does not wait any more, and whatever ends it.
    """

    def watch_all() -> None:
        if held.renew():
            _count(run, report)
            transactions.run_volatile(run.save, update_fields=_COUNTS)
        if watch is not None:
            watch()

    pace = Throttle(watch_all)
    close_interrupted()
    history.prune()
    _begin(run, policy)
    with _recorded(run, report):
        if run.is_dry_run:
            estimate.keep(run, collection.rehearse(policy, report, pace))
        else:
            collection.collect(policy, report, pace)
            collection.foresee(policy, report, pace)
    return run


def is_any_open() -> bool:
    """Tell whether a run is under way, or its process was killed."""
    return Run.objects.filter(state=State.RUNNING).exists()


def close_interrupted() -> None:
    """Close what a process that was killed left open: whoever holds the lease is the only one running."""
    rows = Run.objects.filter(state=State.RUNNING)
    transactions.run(rows.update, state=State.STOPPED, error="the process ended", ended_at=Now())


def _begin(run: Run, policy: Policy) -> None:
    is_requested = run.state == State.REQUESTED
    run.started_at, run.state = clock.now(), State.RUNNING
    run.grace_period, run.remove_untagged = policy.grace_period, policy.remove_untagged
    run.repository = policy.repository
    requested = Run.objects.filter(pk=run.pk, state=State.REQUESTED)
    if not is_requested:
        transactions.run(run.save)
    elif not transactions.run(requested.update, state=run.state, started_at=run.started_at):
        raise WithdrawnError
    failpoint("collect.after_begin")


@contextmanager
def _recorded(run: Run, report: Report) -> Iterator[None]:
    run.state = State.FAILED
    try:
        yield
        run.state = State.DONE
    except StopError as error:
        run.state, run.error = State.STOPPED, str(error)
    except KeyboardInterrupt:
        run.state, run.error = State.STOPPED, "interrupted"
        raise
    except Exception as error:
        run.error = f"{type(error).__name__}: {error}"
        raise
    finally:
        _end(run, report)


def _end(run: Run, report: Report) -> None:
    failpoint("collect.before_end")
    _count(run, report)
    run.ended_at = clock.now()
    transactions.run(run.save)


def _count(run: Run, report: Report) -> None:
    total = report.total
    run.manifests, run.links, run.blobs = total.manifests, total.links, total.blobs
    run.freed_bytes, run.later_bytes = total.freed_bytes, total.later_bytes
    run.uploads, run.objects_deleted = report.uploads, report.objects
    run.busy, run.failures = report.busy, report.failures
