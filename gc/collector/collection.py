"""One run: sweep manifests, links and blobs, expire uploads, remove what is empty then; or find what that would be."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from collector import expiry, repositories
from collector.dry_run.forecast import Mark
from collector.dry_run.results import Finding, Kind
from collector.policy import Policy
from collector.report import Counts, Report
from collector.sweep import sweep
from collector.throttle import Throttle
from core.db import clock


def collect(policy: Policy, report: Report, pace: Throttle) -> None:
    """Remove what is due under `policy` now, counted in `report`.

    `now` is the database's and taken once, so that a changed grace period applies to everything alike. Raises
    StopError when `pace` does, with `report` saying what was done.
    """
    repositories.finish_deletions(report, pace)
    now = clock.now()
    sweep(policy, now - policy.grace_period, report, pace)
    for scope in policy.scopes():
        expiry.expire_uploads(now, scope, report, pace)
    repositories.remove_empty(policy, report, pace)
    expiry.empty_trash(now, report, pace)


def rehearse(policy: Policy, report: Report, pace: Throttle | None = None) -> Iterator[Finding]:
    """Yield what `collect` would remove now, counted in `report`; nothing is changed.

    What is for a later run is counted at the end. Raises StopError when `pace` does.
    """
    now, pace = clock.now(), pace or Throttle()
    cut = now - policy.grace_period
    marked = Mark(policy, cut, pace).find()
    uploads = (expiry.find_uploads(now, scope, pace) for scope in policy.scopes())
    for finding in chain(marked, *uploads, expiry.find_objects(now, pace)):
        finding.add_to(report)
        yield finding
    ahead = Report()
    foresee(policy, ahead, pace, earlier=cut)
    for pk, counts in ahead.repositories.items():
        # What goes now is not for later.
        now_freed = report.repositories.get(pk, Counts()).freed_bytes
        report.count(pk, Counts(later_bytes=max(0, counts.later_bytes - now_freed)))


def foresee(policy: Policy, report: Report, pace: Throttle | None = None, earlier: datetime | None = None) -> None:
    """Count in `report` the bytes that nothing holds now, beyond those freed: for a later run, untouched till then.

    A run with the cut `earlier` comes first, None: has been. Raises StopError when `pace` does.
    """
    for finding in Mark(policy, clock.now(), pace, earlier).find():
        if finding.kind is Kind.BLOB and finding.repository_id is not None:
            report.count(finding.repository_id, Counts(later_bytes=finding.size))
