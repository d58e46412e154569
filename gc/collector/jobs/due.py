"""What is done beside the server: the trash every minute, collection by its interval, and so on."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import Error
from django.db.models import Q

from collector import expiry, lease, repositories, runs, schedule
from collector.jobs import queue, scrub
from collector.lease import Held, HeldError
from collector.models import Job, Run
from collector.report import Report
from collector.throttle import StopError, Throttle
from core.api.errors import RegistryError
from core.db import ballast, clock, database_fault
from distribution import deletion

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# Exit status of a process of which a job failed.
FAILED = 1


def is_anything_due() -> bool:
    """Tell whether there is something to do that no process is doing."""
    if ballast.is_due():
        return True
    now = clock.now()
    has_trash = expiry.due_trash(now).exists() and expiry.may_empty_trash()
    has_refuse = has_trash or expiry.expired_uploads(now).exists() or deletion.unfinished().exists()
    if has_refuse and not lease.is_held(Job.REAPING):
        return True
    if (queue.is_any() or schedule.is_due() or runs.is_any_open()) and not lease.is_held(Job.COLLECTION):
        return True
    return scrub.is_due() and not lease.is_held(Job.SCRUBBING)


def run_due(watch: Callable[[], None] | None = None) -> bool:
    """Do what is due and nobody else is doing; return False when something failed, which is logged.

    `watch` is called after each step; a StopError from it comes through from reaping, and ends a run.
    """
    return all([_attempt(job, watch) for job in (_reap, _close, _collect, _do_requested, _scrub, _make_ballast)])  # noqa: C419 - each of them


def _attempt(job: Callable[[Callable[[], None] | None], bool], watch: Callable[[], None] | None) -> bool:
    try:
        return job(watch)
    except HeldError as error:
        logger.info("the job is done by another process", extra={"holder": str(error)})
        return True
    except StopError:
        raise
    except (Error, RegistryError) as error:
        _log_fault(error)
        return False
    except Exception:  # one job that fails doesn't keep the other from its turn
        logger.exception("a job failed")
        return False


def _log_fault(error: Error | RegistryError) -> None:
    """Log what the database can't do, once for all jobs; a RegistryError is what became of its error."""
    cause = error if isinstance(error, Error) else error.__cause__
    if not isinstance(cause, Error):
        logger.error("a job failed", exc_info=error)
    elif database_fault.report(cause) is database_fault.BUSY:
        logger.warning("a job waits for its next turn: %s", database_fault.BUSY.reason)


def _reap(watch: Callable[[], None] | None) -> bool:
    report, now = Report(), clock.now()
    with lease.hold(Job.REAPING) as held:
        pace = Throttle(_renewing(held, watch))
        repositories.finish_deletions(report, pace)
        expiry.expire_uploads(now, Q(), report, pace)
        expiry.empty_trash(now, report, pace)
    return not report.failures


def _close(_watch: Callable[[], None] | None) -> bool:
    """Close the rows of runs whose process was killed: else they would seem to go on until the next run."""
    if runs.is_any_open() and not lease.is_held(Job.COLLECTION):
        with lease.hold(Job.COLLECTION):
            runs.close_interrupted()
    return True


def _make_ballast(_watch: Callable[[], None] | None) -> bool:
    ballast.make()
    return True


def _scrub(watch: Callable[[], None] | None) -> bool:
    if settings.REGISTRY.storage.scrub is None:
        return True
    with lease.hold(Job.SCRUBBING) as held:
        return scrub.turn(_renewing(held, watch))


def _renewing(held: Held, watch: Callable[[], None] | None) -> Callable[[], None]:
    """Return a watch that gives signs of life too."""

    def watch_all() -> None:
        held.renew()
        if watch is not None:
            watch()

    return watch_all


def _collect(watch: Callable[[], None] | None) -> bool:
    run = runs.collect_if_due(Report(), watch) if schedule.is_due() else None
    if run is not None:
        logger.info("collection ended", extra=_summary(run))
    return run is None or not run.failures


def _do_requested(watch: Callable[[], None] | None) -> bool:
    is_well = True
    while queue.is_any():
        if watch is not None:
            # Told to stop: what was not begun waits for the next process.
            watch()
        run = queue.perform_next(watch)
        if run is not None:
            logger.info("a requested run ended", extra=_summary(run) | {"is_dry_run": run.is_dry_run})
            is_well = is_well and not run.failures
    return is_well


def _summary(run: Run) -> dict[str, object]:
    names = ("state", "manifests", "links", "blobs", "uploads", "freed_bytes", "busy", "failures", "error")
    return {name: str(getattr(run, name)) if name == "state" else getattr(run, name) for name in names}
