"""Remove the tags that no policy keeps: some in each transaction, beside running pushes.

    Repository (FOR KEY SHARE) → Tags → their manifests, by primary key; rows locked elsewhere are skipped

Under the locks each tag is read again: one that was pushed, moved or pulled since the decision stays. Once a policy has
changed, or a tag is gone that a policy counted among its newest, every tag stays until the repository is decided again.
The manifests are released as of now: until the grace period is over a tag can be set back, and the sweep removes only
what nothing else references.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice

from django.db.models import QuerySet

from accounts import permissions_version
from audit.kinds import Kind as EventKind
from audit.recording import record
from collector.dry_run.results import Kind
from collector.models import RunFinding
from collector.policy import Policy
from collector.report import Counts, Report
from collector.retention import facts
from collector.retention.facts import Facts
from collector.retention.simulation import Simulation, moment_at, repositories
from collector.throttle import StopError, Throttle
from core.db import transactions
from core.db.statement import Statement
from core.failpoints import failpoint
from distribution.announcements import changes
from distribution.manifests import history, references
from distribution.models import Repository, Tag, remove
from distribution.usage.quotas import Room
from policies.retention.decision import Moment, subject_of
from policies.retention.holding import Holding
from webhooks.origin import Origin

logger = logging.getLogger(__name__)

ACCOUNT = "retention"
"""Who has removed the tag, to history, audit and webhooks."""

TAGS_AT_ONCE = 50

ATTEMPTS = 3
"""How often a repository is decided whose policies or newest tags change; then it is left for the next run."""

_LOCK_REPOSITORY = Statement(
    "SELECT id FROM distribution_repository WHERE id = %s AND name = %s FOR KEY SHARE SKIP LOCKED"
)
_LOCK_TAGS = Statement(
    "SELECT id, manifest_id FROM distribution_tag WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED"
)
_COUNT_TAGS = Statement("SELECT count(*) FROM distribution_tag WHERE id = ANY(%s)")
_LOCK_MANIFESTS = Statement(
    "SELECT id FROM distribution_manifest WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED"
)


class _ChangedError(Exception):
    """A policy has changed since the decision, or what it keeps was deleted."""


def remove_tags(policy: Policy, now: datetime, report: Report, throttle: Throttle) -> None:
    """Remove the tags that no policy keeps at `now`, and count them in `report`; of a plan only those that it lists.

    Busy ones are left for the next run. Raises StopError when `throttle` does.
    """
    if policy.plan is not None and not _of_plan(policy.plan).exists():
        return
    moment = moment_at(now, policy.grace_period)
    for repository in repositories(policy):
        try:
            _remove_from(repository, policy, moment, report, throttle)
        except StopError:
            raise
        except Exception:  # one broken repository must not keep the others
            logger.exception("the tags of a repository can't be removed", extra={"repository": repository.name})
            report.failures += 1
        throttle.check()


def _remove_from(repository: Repository, policy: Policy, moment: Moment, report: Report, throttle: Throttle) -> None:
    for _ in range(ATTEMPTS):
        found = Simulation.of(repository, moment, throttle)
        places = found.places
        try:
            for some in _batches(found.unkept, policy):
                began_at = time.monotonic()
                removed, busy = transactions.run(_remove, repository, found, places, some)
                failpoint("retention.after_commit")
                if removed:
                    _record(found, removed)
                    report.count(repository.pk, Counts(tags=len(removed)))
                report.busy += busy
                throttle.pause(began_at)
        except _ChangedError:
            continue
        return
    logger.warning("policies or tags change all the time: left for the next run", extra={"repository": repository.name})


def _batches(unkept: Facts, policy: Policy) -> Iterator[Facts]:
    rows = iter(unkept.items())
    while some := dict(islice(rows, TAGS_AT_ONCE)):
        planned = some if policy.plan is None else _planned(some, policy.plan)
        if planned:
            yield planned


def _planned(some: Facts, plan: int) -> Facts:
    """Return the tags that a plan lists, does not exclude, and that were not pushed since."""
    listed = dict(_of_plan(plan).filter(row_id__in=list(some)).values_list("row_id", "run__started_at"))
    return {pk: tag for pk, tag in some.items() if pk in listed and tag.pushed_at < listed[pk]}


def _of_plan(plan: int) -> QuerySet[RunFinding]:
    return RunFinding.objects.filter(run=plan, kind=Kind.TAG, is_excluded=False)


def _remove(repository: Repository, found: Simulation, places: list[int], some: Facts) -> tuple[list[int], int]:
    """Return the primary keys of the tags that were removed, and how many are busy. Raises _ChangedError."""
    room = Room.of(repository.name)
    room.lock()
    if _LOCK_REPOSITORY.row(repository.pk, repository.name) is None:
        # Busy, or it is being deleted.
        return [], len(some)
    tags: dict[int, int] = dict(_LOCK_TAGS.rows(sorted(some)))
    free = {pk for (pk,) in _LOCK_MANIFESTS.rows(sorted(set(tags.values())))}
    # Read in statements of their own, later than those that locked.
    version = permissions_version.current()
    if version != found.holding.version and Holding.of(repository.name, version).content != found.holding.content:
        raise _ChangedError
    # Tags that are only moved, or added, let nothing stay that goes.
    if _COUNT_TAGS.value(places) != len(places):
        raise _ChangedError
    now = facts.of_tags(list(some), with_pulls=found.holding.asks_for_pulls)
    locked = {pk: tag for pk, tag in now.items() if tags.get(pk) in free}
    present = facts.present_subjects(repository.pk, locked.values())
    gone = [pk for pk, tag in locked.items() if tag == some[pk] and subject_of(tag.name) not in present]
    _remove_locked(gone, {tags[pk] for pk in gone}, Origin(version=version))
    room.tags_removed(len(gone))
    failpoint("retention.before_commit")
    return gone, len(now) - len(locked)


def _remove_locked(pks: list[int], manifests: Collection[int], origin: Origin) -> None:
    deleted = changes.tags_before_deletion(pks, origin)
    history.record_deletions(pks, ACCOUNT)
    remove(Tag.objects.filter(pk__in=pks))
    references.release_manifests(manifests)
    changes.tags_deleted(deleted, ACCOUNT, origin)


def _record(found: Simulation, removed: list[int]) -> None:
    for pk in removed:
        tag = found.facts[pk]
        record(
            EventKind.TAG_DELETED,
            None,
            account=ACCOUNT,
            credential=ACCOUNT,
            repository=found.holding.name,
            reference=tag.name,
            digest=tag.digest,
            detail=found.verdicts[tag.name].reason,
        )
