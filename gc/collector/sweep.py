"""Remove unreferenced rows whose grace period is over: one row a transaction, beside running pushes.

    manifests, in passes, since a removed one releases its children and referrers → links → blobs

A row is locked with SKIP LOCKED in lock order (Manifest → Blob → Link) and checked again: pushes and runs do not wait
for each other. A removed manifest releases its references as of its own `last_used_at`: rows unused since then are
removed in the same run, rows used later keep their grace period. While a process has unwritten renewals of
`last_used_at`, nothing may be removed (`collection_fence`): the run waits a little, then stops, and is retried soon.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from typing import Any

from django.db.models import Q

from accounts import permissions_version
from collector.batches import BusyError, DueRows
from collector.dry_run.results import Kind
from collector.plan import planned
from collector.policy import Policy, anywhere, keeps_untagged
from collector.report import Counts, Report
from collector.throttle import StopError, Throttle
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution import blobs, collection_fence
from distribution.manifests import references, removal
from distribution.models import Link, Manifest
from distribution.usage.quotas import Room
from policies.immutability import Immutability

_FIND_MANIFEST = Statement("""
SELECT repository_id, digest, (SELECT name FROM distribution_repository WHERE id = repository_id)
FROM distribution_manifest WHERE id = %s
""")
# In the SELECT list, not in WHERE: there PostgreSQL may search the index for every unreferenced old row.
_IS_MANIFEST_DUE = Statement("""
SELECT last_used_at, is_unreferenced AND last_used_at < %s
    AND NOT (SELECT keeps_untagged FROM distribution_repository WHERE id = manifest.repository_id)
FROM distribution_manifest manifest WHERE id = %s
""")
_KEEP_MANIFEST = Statement("UPDATE distribution_manifest SET is_unreferenced = FALSE WHERE id = %s")
_FIND_LINK = Statement(f"""
SELECT repository_id, blob_id, (SELECT name FROM distribution_repository WHERE id = repository_id),
    {permissions_version.IN_SQL}
FROM distribution_link WHERE id = %s
""")  # noqa: S608 - of constants
_LOCK_BLOB = Statement("SELECT key, size FROM distribution_blob WHERE id = %s FOR UPDATE SKIP LOCKED")
_LOCK_LINK = Statement("SELECT id FROM distribution_link WHERE id = %s FOR UPDATE SKIP LOCKED")
_IS_LINK_DUE = Statement("SELECT is_unreferenced AND last_used_at < %s FROM distribution_link WHERE id = %s")
_KEEP_LINK = Statement("UPDATE distribution_link SET is_unreferenced = FALSE WHERE id = %s")

# On a busy database some renewal is always a few seconds late: a run that stopped at the first one would never finish.
FENCED_SECONDS = 30.0
POLL_SECONDS = 0.05

Removed = tuple[int, Counts]
"""The primary key of a repository, and what was removed from it."""


def sweep(policy: Policy, due_before: datetime, report: Report, throttle: Throttle) -> None:
    """Remove links, and manifests that `policy` names, unreferenced and unused since before `due_before`; their blobs.

    Repositories with `keeps_untagged`, and protected ones, keep their manifests. Busy rows are tried once more at the
    end, then left for the next run. A plan only narrows what is visited: each row is checked again. Raises StopError
    when `throttle` does, and while nothing may be removed.
    """
    options: dict[str, Any] = {"due_before": due_before, "throttle": throttle}
    is_due = Q(is_unreferenced=True, last_used_at__lt=due_before)
    manifests = _due_manifests(policy, is_due, options)
    of_links = Link.objects.filter(is_due, planned(policy, Kind.LINK))
    step = partial(remove_link, **options)
    links = [DueRows(of_links.filter(scope), "last_used_at", step) for scope in policy.scopes()]
    try:
        _remove_all(manifests, links, report, throttle)
        if any(rows.busy for rows in (*manifests, *links)):
            for rows in (*manifests, *links):
                rows.busy.clear()
            _remove_all(manifests, links, report, throttle)
    finally:
        report.busy += sum(len(rows.busy) for rows in (*manifests, *links))
        report.failures += sum(len(rows.failed) for rows in (*manifests, *links))


def _due_manifests(policy: Policy, is_due: Q, options: dict[str, Any]) -> list[DueRows[Removed]]:
    scopes = list(policy.manifest_scopes())
    if not scopes:
        return []
    rows = Manifest.objects.filter(is_due, ~keeps_untagged(), planned(policy, Kind.MANIFEST))
    return [
        DueRows(
            rows.filter(scope.repositories, scope.members),
            "last_used_at",
            partial(remove_manifest, is_open=scope.is_open, **options),
        )
        for scope in scopes
    ]


def _remove_all(
    manifests: list[DueRows[Removed]], links: list[DueRows[Removed]], report: Report, throttle: Throttle
) -> None:
    """Remove manifests in passes until none is due, then links."""
    for rows in manifests:
        has_removed = True
        while has_removed:
            has_removed = False
            for repository_id, counts in rows.remove_all(throttle):
                report.count(repository_id, counts)
                has_removed = True
    for rows in links:
        for repository_id, counts in rows.remove_all(throttle):
            report.count(repository_id, counts)


class _FencedError(StopError):
    """The fence is closed for every row, not for one alone."""

    def __init__(self) -> None:
        super().__init__("a server has not yet written when rows were last used")


def _remove(
    step: Callable[[int, datetime, Callable[[], bool]], Removed | None],
    pk: int,
    due_before: datetime,
    throttle: Throttle | None,
) -> Removed | None:
    """Run `step` in a transaction, as soon as it may remove.

    Raises StopError when `throttle` does, and after FENCED_SECONDS.
    """
    deadline = monotonic() + FENCED_SECONDS
    while True:
        try:
            with collection_fence.exclusive() as may_pass:
                return transactions.run(step, pk, due_before, may_pass)
        except _FencedError:
            if not _is_open_before(deadline, throttle or Throttle()):
                raise


def _is_open_before(deadline: float, throttle: Throttle) -> bool:
    """Wait for the fence outside of a transaction, which would delay the renewals themselves."""
    while monotonic() < deadline:
        sleep(POLL_SECONDS)
        throttle.check()
        with collection_fence.exclusive() as may_pass:
            if may_pass():
                return True
    return False


def remove_manifest(
    pk: int,
    due_before: datetime,
    throttle: Throttle | None = None,
    is_open: Callable[[str], bool] = anywhere,
) -> Removed | None:
    """Remove the manifest if it is still due where `is_open` says so. Raises BusyError, StopError, UNAVAILABLE."""
    removed = _remove(partial(_remove_manifest, is_open=is_open), pk, due_before, throttle)
    failpoint("collect.after_manifest_commit")
    return removed


def _remove_manifest(
    pk: int, due_before: datetime, may_pass: Callable[[], bool], *, is_open: Callable[[str], bool]
) -> Removed | None:
    if not may_pass():
        raise _FencedError
    row = _FIND_MANIFEST.row(pk)
    if row is None:
        return None
    repository_pk, digest, name = row
    if Immutability.of(name).is_protected or not is_open(name):
        return None
    removal_set = removal.lock(pk, repository_pk, digest, skip_locked=True)
    if pk not in removal_set.pks:
        raise BusyError
    # In SQL, as the query for due rows: SQLite compares times as text, Python does not.
    last_used_at, is_due = _IS_MANIFEST_DUE.row(due_before, pk) or (None, False)
    if not is_due:
        return None
    if references.is_manifest_referenced(pk):
        _KEEP_MANIFEST.run(pk)
        return None
    if not removal_set.is_complete:
        raise BusyError
    try:
        removal.remove(removal_set, ended_at=last_used_at, skip_locked=True)
    except LostRaceError as error:
        raise BusyError from error
    failpoint("collect.before_manifest_commit")
    return repository_pk, Counts(manifests=1)


def remove_link(pk: int, due_before: datetime, throttle: Throttle | None = None) -> Removed | None:
    """Remove the link if it is still due, and the blob with its last link. Raises BusyError, StopError, UNAVAILABLE."""
    removed = _remove(_remove_link, pk, due_before, throttle)
    failpoint("collect.after_link_commit")
    return removed


def _remove_link(pk: int, due_before: datetime, may_pass: Callable[[], bool]) -> Removed | None:
    link = _FIND_LINK.row(pk)
    if link is None:
        return None
    repository_pk, blob_pk, name, version = link
    room = Room.of(name, version)
    # Never waits behind the fence: a process that has to promise something waits for it.
    if not room.is_locked():
        raise BusyError
    if not may_pass():
        raise _FencedError
    blob = _LOCK_BLOB.row(blob_pk)
    if blob is None or _LOCK_LINK.row(pk) is None:
        raise BusyError
    if not _IS_LINK_DUE.value(due_before, pk):
        return None
    if references.is_link_referenced(pk):
        _KEEP_LINK.run(pk)
        return None
    key, size = blob
    is_last = blobs.unlink(pk, blob_pk, key)
    room.blob_unlinked(blob_pk, size, is_last=is_last)
    failpoint("collect.before_link_commit")
    return repository_pk, Counts(links=1, blobs=int(is_last), freed_bytes=size if is_last else 0)
