"""The steps of one run: retention, sweep, uploads, empty repositories, the trash; and their forecast."""

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from django.db.models import Q

from collector import expiry, repositories
from collector.dry_run.forecast import Forecast
from collector.dry_run.results import Finding, Kind
from collector.policy import Policy
from collector.report import Counts, Report
from collector.retention.removal import remove_tags
from collector.retention.simulation import find_tags
from collector.sweep import sweep
from collector.throttle import Throttle
from core.db import clock
from distribution.caching import expiry as caching


def collect(policy: Policy, report: Report, throttle: Throttle) -> None:
    """Remove what is due under `policy` and count it in `report`.

    The database's time is read once, so that all steps apply the grace period to the same moment. Raises StopError
    when `throttle` does; `report` then counts what was done.
    """
    if policy.plan is not None:
        # Uploads, empty repositories and the trash are the periodic jobs' and the next run's.
        now = clock.now()
        remove_tags(policy, now, report, throttle)
        sweep(policy, now - policy.grace_period, report, throttle)
        repositories.measure(report, throttle)
        return
    repositories.finish_deletions(report, throttle)
    now = clock.now()
    remove_tags(policy, now, report, throttle)
    for scope in policy.scopes():
        _expire_fetched(now, scope, report, throttle)
    sweep(policy, now - policy.grace_period, report, throttle)
    for scope in policy.scopes():
        expiry.expire_uploads(now, scope, report, throttle)
    repositories.remove_empty(policy, report, throttle)
    expiry.empty_trash(now, report, throttle)
    expiry.abort_unfinished_writes(report, throttle)
    repositories.measure(report, throttle)


def _expire_fetched(now: datetime, scope: Q, report: Report, throttle: Throttle) -> None:
    """Remove what proxies keep no longer; its blobs follow after the grace period."""
    started_at = time.monotonic()
    for repository_pk, outcome in caching.expire(now, scope):
        report.count(repository_pk, Counts(manifests=outcome.manifests, tags=outcome.tags))
        report.failures += outcome.failures
        throttle.pause(started_at)
        started_at = time.monotonic()


def forecast(policy: Policy, report: Report, throttle: Throttle | None = None) -> Iterator[Finding]:
    """Yield what `collect` would remove now and count it in `report`; change nothing.

    Bytes of later runs are counted at the end. Raises StopError when `throttle` does.
    """
    now, throttle = clock.now(), throttle or Throttle()
    due_before = now - policy.grace_period
    swept = Forecast(policy, due_before, throttle).find()
    uploads = (expiry.find_uploads(now, scope, throttle) for scope in policy.scopes())
    for finding in chain(find_tags(policy, now, throttle), swept, *uploads, expiry.find_objects(now, throttle)):
        finding.add_to(report)
        yield finding
    later = Report()
    count_later_bytes(policy, later, throttle, previous=due_before)
    for pk, counts in later.repositories.items():
        # Without the bytes that this run frees already.
        freed = report.repositories.get(pk, Counts()).freed_bytes
        report.count(pk, Counts(later_bytes=max(0, counts.later_bytes - freed)))


def count_later_bytes(
    policy: Policy, report: Report, throttle: Throttle | None = None, previous: datetime | None = None
) -> None:
    """Count in `report` the unreferenced bytes within their grace period, which a later run frees.

    A run that removes rows due before `previous` comes first; None means that it is done. Raises StopError when
    `throttle` does.
    """
    for finding in Forecast(policy, clock.now(), throttle, previous).find():
        if finding.kind is Kind.BLOB and finding.repository_id is not None:
            report.count(finding.repository_id, Counts(later_bytes=finding.size))
