"""Remove what nothing holds and nobody was promised: one row a transaction, beside running pushes.

    manifests, pass after pass, since one that goes lets its children and referrers go → links → blobs

A row is locked with SKIP LOCKED in the order of locks (Manifest → Blob → Link) and then looked at again: a
push never waits for a run, and a run never for a push. What is let go here is let go as of the removed
manifest's own `last_used_at`: what was quiet all along goes in the same run, what was touched since keeps its
grace period. While a process has promises that it could not write, nothing may go (`collection_fence`): the run waits
for a moment, then ends, and is tried again soon.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import monotonic, sleep

from django.db.models import Q

from collector.batches import BusyError, Walk
from collector.policy import KEEPS_UNTAGGED, Policy
from collector.report import Counts, Report
from collector.throttle import StopError, Throttle
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution import blobs, collection_fence
from distribution.manifests import references, removal
from distribution.models import Link, Manifest

_FIND_MANIFEST = Statement("SELECT repository_id, digest FROM distribution_manifest WHERE id = %s")
# As values, not as conditions: PostgreSQL may look for a row that is idle and old through all of those.
_IS_MANIFEST_DUE = Statement("""
SELECT last_used_at, is_unreferenced AND last_used_at < %s
    AND NOT (SELECT keeps_untagged FROM distribution_repository WHERE id = manifest.repository_id)
FROM distribution_manifest manifest WHERE id = %s
""")
_KEEP_MANIFEST = Statement("UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE id = %s")
_FIND_LINK = Statement("SELECT repository_id, blob_id FROM distribution_link WHERE id = %s")
_LOCK_BLOB = Statement("SELECT key, size FROM distribution_blob WHERE id = %s FOR UPDATE SKIP LOCKED")
_LOCK_LINK = Statement("SELECT id FROM distribution_link WHERE id = %s FOR UPDATE SKIP LOCKED")
_IS_LINK_DUE = Statement("SELECT is_unreferenced AND last_used_at < %s FROM distribution_link WHERE id = %s")
_KEEP_LINK = Statement("UPDATE distribution_link SET is_unreferenced = FALSE WHERE id = %s")

# Beside a busy database some renewals are late at any time, each for some seconds: a run that ended at the first one
# would never come to its end.
FENCED_SECONDS = 30.0
LOOK_SECONDS = 0.05

Removed = tuple[int, Counts]
"""The primary key of a repository, and what went from it."""


def sweep(policy: Policy, cut: datetime, report: Report, pace: Throttle) -> None:
    """Remove every manifest (when `policy` says so) and link that is idle since before `cut`, and their blobs.

    Manifests stay where the repository keeps what is untagged. What was busy is tried once more at the end; what
    still is waits for the next run. Raises StopError when `pace` does, and while nothing may be removed.
    """
    for scope in policy.scopes():
        _sweep(policy, cut, scope, report, pace)


def _sweep(policy: Policy, cut: datetime, scope: Q, report: Report, pace: Throttle) -> None:
    due = scope & Q(is_unreferenced=True, last_used_at__lt=cut)
    manifests = Walk(
        Manifest.objects.filter(due, ~KEEPS_UNTAGGED), "last_used_at", partial(remove_manifest, cut=cut, pace=pace)
    )
    links = Walk(Link.objects.filter(due), "last_used_at", partial(remove_link, cut=cut, pace=pace))
    walks = [manifests, links] if policy.remove_untagged else [links]
    try:
        for walk in walks:
            _go(walk, report, pace, in_passes=walk is manifests)
        if any(walk.busy for walk in walks):
            for walk in walks:
                walk.busy.clear()
                _go(walk, report, pace, in_passes=walk is manifests)
    finally:
        report.busy += sum(len(walk.busy) for walk in walks)
        report.failures += sum(len(walk.failed) for walk in walks)


def _go(walk: Walk[Removed], report: Report, pace: Throttle, *, in_passes: bool) -> None:
    has_removed = True
    while has_removed:
        has_removed = False
        for repository_id, counts in walk.go(pace):
            report.count(repository_id, counts)
            has_removed = in_passes


class _FencedError(StopError):
    """The next row would be refused as well."""

    def __init__(self) -> None:
        super().__init__("a server has still to write down what it promised")


def _pass(may_pass: Callable[[], bool]) -> None:
    """Begin a transaction that removes. Raises _FencedError."""
    if not may_pass():
        raise _FencedError


def _remove(
    step: Callable[[int, datetime, Callable[[], bool]], Removed | None], pk: int, cut: datetime, pace: Throttle | None
) -> Removed | None:
    """Run a step in its transaction, as soon as it may remove.

    Raises StopError when `pace` does, and after FENCED_SECONDS.
    """
    deadline = monotonic() + FENCED_SECONDS
    while True:
        try:
            with collection_fence.exclusive() as may_pass:
                return transactions.run(step, pk, cut, may_pass)
        except _FencedError:
            if not _is_open_before(deadline, pace or Throttle()):
                raise


def _is_open_before(deadline: float, pace: Throttle) -> bool:
    """Wait without a transaction, which would keep others from writing what they promised."""
    while monotonic() < deadline:
        sleep(LOOK_SECONDS)
        pace.look()
        with collection_fence.exclusive() as may_pass:
            if may_pass():
                return True
    return False


def remove_manifest(pk: int, cut: datetime, pace: Throttle | None = None) -> Removed | None:
    """Remove the manifest if it is still due. Raises BusyError, StopError, UNAVAILABLE."""
    removed = _remove(_remove_manifest, pk, cut, pace)
    failpoint("collect.after_manifest_commit")
    return removed


def _remove_manifest(pk: int, cut: datetime, may_pass: Callable[[], bool]) -> Removed | None:
    _pass(may_pass)
    row = _FIND_MANIFEST.row(pk)
    if row is None:
        return None
    repository_pk, digest = row
    family = removal.lock(pk, repository_pk, digest, skip_locked=True)
    if pk not in family.pks:
        raise BusyError
    # Asked in SQL, as the walk did: SQLite compares times as text, Python does not.
    last_used_at, is_due = _IS_MANIFEST_DUE.row(cut, pk) or (None, False)
    if not is_due:
        return None
    if references.is_manifest_referenced(pk):
        _KEEP_MANIFEST.run(pk)
        return None
    if not family.is_complete:
        raise BusyError
    try:
        removal.remove(family, ended_at=last_used_at, skip_locked=True)
    except LostRaceError as error:
        raise BusyError from error
    failpoint("collect.before_manifest_commit")
    return repository_pk, Counts(manifests=1)


def remove_link(pk: int, cut: datetime, pace: Throttle | None = None) -> Removed | None:
    """Remove the link if it is still due, and the blob with its last link. Raises BusyError, StopError, UNAVAILABLE."""
    removed = _remove(_remove_link, pk, cut, pace)
    failpoint("collect.after_link_commit")
    return removed


def _remove_link(pk: int, cut: datetime, may_pass: Callable[[], bool]) -> Removed | None:
    _pass(may_pass)
    link = _FIND_LINK.row(pk)
    if link is None:
        return None
    repository_pk, blob_pk = link
    blob = _LOCK_BLOB.row(blob_pk)
    if blob is None or _LOCK_LINK.row(pk) is None:
        raise BusyError
    if not _IS_LINK_DUE.value(cut, pk):
        return None
    if references.is_link_referenced(pk):
        _KEEP_LINK.run(pk)
        return None
    key, size = blob
    is_last = blobs.unlink(pk, blob_pk, key)
    failpoint("collect.before_link_commit")
    return repository_pk, Counts(links=1, blobs=int(is_last), freed_bytes=size if is_last else 0)
