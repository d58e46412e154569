"""Remove repositories: those that were deleted with all that they hold, others once they are empty."""

import logging
import time
from collections.abc import Iterator

from collector.batches import by_pk
from collector.policy import Policy
from collector.report import Counts, Report
from collector.throttle import StopError, Throttle
from distribution import deletion, repositories
from distribution.deletion import Removed
from distribution.models import Repository

logger = logging.getLogger(__name__)


def finish_deletions(report: Report, pace: Throttle) -> None:
    """Go on with every deletion that was begun, counted in `report`. Raises StopError when `pace` does."""
    for repository in by_pk(deletion.unfinished()):
        try:
            _finish(repository, report, pace)
            report.gone[repository.pk] = deletion.original_name(repository)
        except StopError:
            raise
        except Exception:  # whatever is wrong with one repository, the others are still to go
            logger.exception("a deleted repository is broken", extra={"repository": repository.name})
            report.failures += 1


def _finish(repository: Repository, report: Report, pace: Throttle) -> None:
    for removed in steps(repository.pk, pace):
        report.uploads += removed.uploads
        counts = Counts(removed.manifests, removed.links, removed.blobs, removed.freed_bytes)
        report.count(repository.pk, counts)


def steps(pk: int, pace: Throttle) -> Iterator[Removed]:
    """Go on with the deletion of one repository, and make way for others after each item. Raises StopError."""
    began_at = time.monotonic()
    for removed in deletion.steps(pk):
        yield removed
        pace.rest(began_at)
        began_at = time.monotonic()


def remove_empty(policy: Policy, report: Report, pace: Throttle) -> None:
    """Remove the row of each repository that holds nothing, where `policy` says. Raises StopError when `pace` does.

    One that is made anew at this moment is busy, or is made once more: a push never waits for this, nor fails.
    """
    rows = repositories.empty()
    scopes = [rows] if not policy.repository else [rows.filter(pk__in=pks) for pks in policy.batches()]
    for scope in scopes:
        for repository in by_pk(scope):
            began_at = time.monotonic()
            if repositories.remove_if_empty(repository.pk):
                report.gone[repository.pk] = repository.name
            pace.rest(began_at)
