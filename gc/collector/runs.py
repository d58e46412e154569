"""One run of the collector under its lease, with a row that records it; old rows are pruned."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db.models import F, Window
from django.db.models.functions import Now, RowNumber

from audit.kinds import Kind
from audit.recording import record
from collector import collection, lease, schedule
from collector.dry_run import results
from collector.lease import OwnLease
from collector.models import Job, Run, RunFinding, State, Trigger
from collector.policy import Policy
from collector.report import Report
from collector.throttle import StopError, Throttle
from core.db import clock, transactions
from core.failpoints import failpoint
from core.metrics.catalog import FREED_BYTES, REMOVED
from core.sizes import counted, size_text
from distribution.models import remove

Watch = Callable[[], None]

KEPT = 1000
"""How many ended runs of each trigger and state are kept.

Counted by trigger and state: runs that fail every ten minutes do not displace those that removed something, and manual
runs do not displace scheduled ones, which tell when the next is due.
"""

PRUNED = 100
"""How many are removed at once; each run adds one."""

_COUNTS = (
    *("tags", "manifests", "links", "blobs", "uploads", "objects_deleted"),
    *("freed_bytes", "later_bytes", "busy", "failures"),
)


PROGRESS_SECONDS = 2.0
"""Between two writes of a run's counts, which its page shows."""


class WithdrawnError(Exception):
    """The requested run was withdrawn."""


def collect(
    policy: Policy, report: Report, trigger: Trigger, *, started_by: str = "", watch: Watch | None = None
) -> Run:
    """Collect under `policy`, count it in `report`, and return the row of the run.

    `watch` is called after each step; a StopError from it ends the run early. Raises LeaseTakenError when another
    process is collecting, and whatever made the run fail, which the row records too.
    """
    with lease.acquire(Job.COLLECTION) as own_lease:
        return perform(own_lease, Run(trigger=trigger, started_by=started_by), policy, report, watch)


def collect_if_due(report: Report, watch: Watch | None = None) -> Run | None:
    """Collect as configured if a run is due; None means that another process did it. Raises what `collect` raises."""
    with lease.acquire(Job.COLLECTION) as own_lease:
        if not schedule.is_due():
            return None
        return perform(own_lease, Run(trigger=Trigger.SCHEDULE), Policy.configured(), report, watch)


def perform(own_lease: OwnLease, run: Run, policy: Policy, report: Report, watch: Watch | None) -> Run:
    """Perform the run, or the dry run, and record its progress every PROGRESS_SECONDS.

    Raises WithdrawnError when a requested run was withdrawn, and whatever makes the run fail.
    """
    progress = _Progress(run, report)

    def watch_all() -> None:
        own_lease.renew()
        progress.record()
        if watch is not None:
            watch()

    throttle = Throttle(watch_all)
    close_interrupted()
    prune()
    _begin(run, policy)
    with _recorded(run, report):
        if run.is_dry_run:
            results.keep(run, collection.forecast(policy, report, throttle))
        else:
            collection.collect(policy, report, throttle)
            collection.count_later_bytes(policy, report, throttle)
    return run


class _Progress:
    """The counts of a running run: written only if they have changed, and not durably."""

    def __init__(self, run: Run, report: Report) -> None:
        self._run, self._report = run, report
        self._recorded_at = time.monotonic()

    def record(self) -> None:
        """Write the counts, at most once in PROGRESS_SECONDS."""
        if time.monotonic() - self._recorded_at < PROGRESS_SECONDS:
            return
        self._recorded_at = time.monotonic()
        before = [getattr(self._run, name) for name in _COUNTS]
        _count(self._run, self._report)
        if before != [getattr(self._run, name) for name in _COUNTS]:
            transactions.run_volatile(self._run.save, update_fields=_COUNTS)


def is_any_open() -> bool:
    """Tell whether a run is in progress, or its process was killed."""
    return Run.objects.filter(state=State.RUNNING).exists()


def close_interrupted() -> None:
    """Mark the runs of killed processes as stopped; the caller has the lease, so no run is in progress."""
    rows = Run.objects.filter(state=State.RUNNING)
    transactions.run(rows.update, state=State.STOPPED, error="the process ended", ended_at=Now())


def prune() -> None:
    """Remove up to PRUNED of the runs beyond KEPT, with their findings."""
    rank = Window(RowNumber(), [F("trigger"), F("state")], [F("started_at").desc(), F("pk").desc()])
    ended = Run.objects.filter(ended_at__isnull=False).annotate(rank=rank)
    pks = [run.pk for run in ended.filter(rank__gt=KEPT).order_by("started_at", "pk").only("pk")[:PRUNED]]
    if pks:
        transactions.run(_remove, pks)


def _remove(pks: list[int]) -> None:
    remove(RunFinding.objects.filter(run__in=pks))
    remove(Run.objects.filter(pk__in=pks))


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
    """Record in the row how the block ended."""
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
        failpoint("collect.before_end")
        _count(run, report)
        run.ended_at = clock.now()
        transactions.run(run.save)
        _count_removed(run)
        _record(run)


def _record(run: Run) -> None:
    """Record how the run ended, in the name of its account; that of a command has the user of the system."""
    counts = {"manifest": run.manifests, "link": run.links, "blob": run.blobs, "upload": run.uploads}
    counts = ({"tag": run.tags} if run.tags else {}) | counts
    removed = ", ".join(counted(count, noun) for noun, count in counts.items())
    verb = "would remove" if run.is_dry_run else "removed"
    detail = f"{run.state}: {verb} {removed}; {size_text(run.freed_bytes)} freed"
    applies = f"; applies the plan of run {run.plan_id}" if run.plan_id else ""
    started_by = f", started by {run.started_by}" if run.trigger == Trigger.COMMAND and run.started_by else ""
    record(
        Kind.COLLECTION,
        None,
        account=run.started_by if run.trigger == Trigger.ADMIN else "",
        credential={"admin": "session", "command": "command"}.get(run.trigger, "schedule"),
        repository=run.repository,
        detail=f"{detail}{applies}{started_by}" + (f"; {run.error}" if run.error else ""),
    )


def _count_removed(run: Run) -> None:
    if not run.is_dry_run:
        FREED_BYTES.add(run.freed_bytes)
        for kind, removed in (("tag", run.tags), ("manifest", run.manifests), ("link", run.links), ("blob", run.blobs)):
            REMOVED.labels(kind).add(removed)


def _count(run: Run, report: Report) -> None:
    total = report.total
    run.tags = total.tags
    run.manifests, run.links, run.blobs = total.manifests, total.links, total.blobs
    run.freed_bytes, run.later_bytes = total.freed_bytes, total.later_bytes
    run.uploads, run.objects_deleted = report.uploads, report.objects
    run.busy, run.failures = report.busy, report.failures
