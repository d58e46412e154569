"""Remove repositories: deleted ones with their contents, others once they are empty."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from collector.batches import by_pk
from collector.policy import Policy
from collector.report import Counts, Report
from collector.throttle import StopError, Throttle
from core.db import clock, transactions
from distribution import deletion, repositories
from distribution.deletion import Removed
from distribution.models import DailyUse, remove
from distribution.usage import sizes

logger = logging.getLogger(__name__)

# Repositories that were never summed: all those of a database that an earlier version made.
MEASURED_AT_ONCE = 10_000
DAILY_USE_KEPT = timedelta(days=400)


def finish_deletions(report: Report, throttle: Throttle) -> None:
    """Finish every deletion that was begun, and count it in `report`. Raises StopError when `throttle` does."""
    for repository in by_pk(deletion.unfinished()):
        try:
            for removed in steps(repository.pk, throttle):
                report.uploads += removed.uploads
                counts = Counts(removed.manifests, removed.links, removed.blobs, removed.freed_bytes)
                report.count(repository.pk, counts)
            report.gone[repository.pk] = deletion.original_name(repository)
        except StopError:
            raise
        except Exception:  # one broken repository must not keep the others
            logger.exception("a deleted repository is broken", extra={"repository": repository.name})
            report.failures += 1


def steps(pk: int, throttle: Throttle) -> Iterator[Removed]:
    """Continue the deletion of one repository, with a pause after each step. Raises StopError."""
    began_at = time.monotonic()
    for removed in deletion.steps(pk):
        yield removed
        throttle.pause(began_at)
        began_at = time.monotonic()


def remove_empty(policy: Policy, report: Report, throttle: Throttle) -> None:
    """Remove each empty repository within the scope of `policy`. Raises StopError when `throttle` does.

    A concurrent push neither waits nor fails: its repository is busy here, or the push creates it again.
    """
    rows = repositories.empty()
    scopes = [rows] if not policy.repository else [rows.filter(pk__in=pks) for pks in policy.batches()]
    for scope in scopes:
        for repository in by_pk(scope):
            began_at = time.monotonic()
            if repositories.remove_if_empty(repository.pk):
                report.gone[repository.pk] = repository.name
            throttle.pause(began_at)


def measure(report: Report, throttle: Throttle) -> None:
    """Sum the sizes of the repositories that lost links, and forget old daily counts. Raises StopError."""
    changed = [pk for pk, counts in report.repositories.items() if counts.links]
    for pk in [*changed, *sizes.unknown(MEASURED_AT_ONCE)]:
        began_at = time.monotonic()
        sizes.refresh(pk)
        throttle.pause(began_at)
    transactions.run_volatile(remove, DailyUse.objects.filter(day__lt=clock.now().date() - DAILY_USE_KEPT))
