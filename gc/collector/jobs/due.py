"""The jobs beside the server: find those that are due, and run them."""

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import Error
from django.db.models import Q

from collector import expiry, lease, repositories, runs, schedule
from collector.jobs import queue, scrub
from collector.lease import LeaseTakenError, OwnLease
from collector.models import Job, Run
from collector.report import Report
from collector.throttle import StopError, Throttle
from core.api.errors import RegistryError
from core.db import ballast, clock, database_fault
from core.metrics.catalog import JOB_TIMES, JOBS
from distribution import deletion

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# Exit status of a process in which a job failed.
FAILED = 1


def is_anything_due() -> bool:
    """Tell whether a job is due that no process is doing."""
    if ballast.is_due():
        return True
    now = clock.now()
    has_trash = expiry.due_trash(now).exists() and not lease.is_taken(Job.BACKUP)
    has_expired = has_trash or expiry.expired_uploads(now).exists() or deletion.unfinished().exists()
    if (has_expired or expiry.has_old_records(now)) and not lease.is_taken(Job.EXPIRY):
        return True
    if (queue.has_waiting() or schedule.is_due() or runs.is_any_open()) and not lease.is_taken(Job.COLLECTION):
        return True
    return scrub.is_due() and not lease.is_taken(Job.SCRUBBING)


def run_due(watch: Callable[[], None] | None = None) -> bool:
    """Run the jobs that are due and that no other process does; return False if one failed, which is logged.

    `watch` is called after each step. A StopError from it ends a run, and propagates from the other jobs.
    """
    jobs = (_expire, _remove_old_records, _close_interrupted, _collect, _run_requested, _scrub, _make_ballast)
    return all([_counted(job, watch) for job in jobs])  # noqa: C419 - a list: each of them runs


def _counted(job: Callable[[Callable[[], None] | None], bool], watch: Callable[[], None] | None) -> bool:
    is_well = _attempt(job, watch)
    labels = job.__name__.strip("_"), "done" if is_well else "failed"
    JOBS.labels(*labels).add()
    JOB_TIMES.labels(*labels).set(time.time())
    return is_well


def _attempt(job: Callable[[Callable[[], None] | None], bool], watch: Callable[[], None] | None) -> bool:
    try:
        return job(watch)
    except LeaseTakenError as error:
        logger.info("the job is done by another process", extra={"holder": str(error)})
        return True
    except StopError:
        raise
    except (Error, RegistryError) as error:
        # A RegistryError has the error of the database as its cause.
        cause = error if isinstance(error, Error) else error.__cause__
        if not isinstance(cause, Error):
            logger.exception("a job failed")
        elif database_fault.report(cause) is database_fault.BUSY:
            logger.warning("a job is put off until the next interval: %s", database_fault.BUSY.reason)
        return False
    except Exception:  # one failed job must not keep the others
        logger.exception("a job failed")
        return False


def _expire(watch: Callable[[], None] | None) -> bool:
    report, now = Report(), clock.now()
    with lease.acquire(Job.EXPIRY) as own_lease:
        throttle = Throttle(_renewing(own_lease, watch))
        repositories.finish_deletions(report, throttle)
        expiry.expire_uploads(now, Q(), report, throttle)
        expiry.empty_trash(now, report, throttle)
    return not report.failures


def _remove_old_records(watch: Callable[[], None] | None) -> bool:
    """Remove some of the old records: a backlog keeps neither the trash nor a collection waiting."""
    now = clock.now()
    if expiry.has_old_records(now):
        with lease.acquire(Job.EXPIRY) as own_lease:
            expiry.remove_old_records(now, Throttle(_renewing(own_lease, watch)))
    return True


def _close_interrupted(_watch: Callable[[], None] | None) -> bool:
    """Close the runs of killed processes, which otherwise look in progress until the next run."""
    if runs.is_any_open() and not lease.is_taken(Job.COLLECTION):
        with lease.acquire(Job.COLLECTION):
            runs.close_interrupted()
    return True


def _collect(watch: Callable[[], None] | None) -> bool:
    run = runs.collect_if_due(Report(), watch) if schedule.is_due() else None
    if run is not None:
        logger.info("collection ended", extra=_summary(run))
    return run is None or not run.failures


def _run_requested(watch: Callable[[], None] | None) -> bool:
    is_well = True
    while queue.has_waiting():
        if watch is not None:
            # A stop leaves the runs that have not begun to the next process.
            watch()
        run = queue.perform_next(watch)
        if run is not None:
            logger.info("a requested run ended", extra=_summary(run) | {"is_dry_run": run.is_dry_run})
            is_well = is_well and not run.failures
    return is_well


def _scrub(watch: Callable[[], None] | None) -> bool:
    if settings.REGISTRY.storage.scrub is None:
        return True
    with lease.acquire(Job.SCRUBBING) as own_lease:
        return scrub.run_slice(_renewing(own_lease, watch))


def _make_ballast(_watch: Callable[[], None] | None) -> bool:
    ballast.make()
    return True


def _renewing(own_lease: OwnLease, watch: Callable[[], None] | None) -> Callable[[], None]:
    """Return a `watch` that renews the lease too."""

    def watch_all() -> None:
        own_lease.renew()
        if watch is not None:
            watch()

    return watch_all


def _summary(run: Run) -> dict[str, object]:
    names = ("state", "tags", "manifests", "links", "blobs", "uploads", "freed_bytes", "busy", "failures", "error")
    return {name: str(getattr(run, name)) if name == "state" else getattr(run, name) for name in names}
