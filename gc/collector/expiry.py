"""Expire abandoned uploads, old audit events and tag moves, and delete the objects in the trash that are due."""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import Error
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit import queries
from collector import lease
from collector.batches import BusyError, DueRows, by_age
from collector.dry_run.results import Finding, Kind, Reason
from collector.models import Job
from collector.report import Report
from collector.throttle import Throttle
from core.api.errors import RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.failpoints import failpoint
from core.metrics.catalog import DELETED_OBJECTS
from distribution import bucket_owner, deletion, repositories
from distribution.models import Repository, Trash, Upload
from distribution.storage import trash
from distribution.storage.blob_store import blob_store, check_storage
from distribution.storage.cloud import CloudError
from distribution.uploads import leases, sessions

logger = logging.getLogger(__name__)

# While many clients push into SQLite, a transaction may wait a second: with one for each object, the trash grew.
OBJECTS_AT_ONCE = 50
RECORDS_AT_ONCE = 500
RECORDS_STEPS, RECORDS_SECONDS = 20, 10.0
"""The budget of a removal of old records; the next interval continues."""

RECORDS_STEP = timedelta(hours=1)
"""How far beyond its retention the oldest record is before a process starts to remove it and those after it."""

_OBJECTS = Statement("SELECT id, key FROM distribution_trash WHERE id = ANY(%s)")
_REMOVE_OBJECTS = Statement("DELETE FROM distribution_trash WHERE id = ANY(%s)")
_HAS_MOVES = Statement("SELECT id FROM distribution_tagmove WHERE moved_at < %s LIMIT 1")
_REMOVE_MOVES = Statement("""
DELETE FROM distribution_tagmove WHERE id IN (SELECT id FROM distribution_tagmove WHERE moved_at < %s LIMIT %s)
""")


def expired_uploads(now: datetime) -> QuerySet[Upload]:
    """Return the uploads that are expired at `now` and that no request writes to."""
    is_old = Q(active_at__lt=now - sessions.EXPIRY) | Q(offset=0)
    return Upload.objects.filter(leases.free(), is_old, active_at__lt=now - sessions.EMPTY_EXPIRY)


def due_trash(now: datetime) -> QuerySet[Trash]:
    """Return the objects that may be deleted at `now`."""
    return Trash.objects.filter(delete_after__lte=now)


def find_uploads(now: datetime, scope: Q, throttle: Throttle) -> Iterator[Finding]:
    """Yield the uploads that `expire_uploads` would end. Raises StopError when `throttle` does."""
    rows = deletion.in_sight(expired_uploads(now)).filter(scope)
    rows = rows.select_related("repository").only("active_at", "repository__name")
    for page in by_age(rows, "active_at"):
        for row in page:
            reason = f"{Reason.EXPIRED} {row.active_at:%Y-%m-%d %H:%M:%S} UTC"
            yield Finding(Kind.UPLOAD, str(row.pk), reason, row.repository_id, row.repository.name)
        throttle.check()


def find_objects(now: datetime, throttle: Throttle) -> Iterator[Finding]:
    """Yield the objects that `empty_trash` would delete. Raises StopError when `throttle` does."""
    for page in by_age(due_trash(now), "delete_after"):
        for row in page:
            yield Finding(Kind.OBJECT, row.key, f"{Reason.IN_TRASH} {row.delete_after:%Y-%m-%d %H:%M:%S} UTC")
        throttle.check()


def expire_uploads(now: datetime, scope: Q, report: Report, throttle: Throttle) -> None:
    """End every expired upload within `scope`, move its objects to the trash, and remove repositories left empty.

    So empty repositories never outnumber open uploads, which are bounded.
    """
    due = DueRows(expired_uploads(now).filter(scope), "active_at", partial(_expire, now=now, report=report))
    report.uploads += sum(due.remove_all(throttle))
    report.busy += len(due.busy)
    report.failures += len(due.failed)


def _expire(pk: UUID, now: datetime, report: Report) -> bool | None:
    repository = transactions.run(_expire_locked, pk, now)
    failpoint("collect.after_expire_commit")
    if repository is None:
        return None
    if repositories.remove_if_empty(repository.pk):
        report.gone[repository.pk] = repository.name
    return True


def _expire_locked(pk: UUID, now: datetime) -> Repository | None:
    rows = Upload.objects.filter(pk=pk).select_related("repository")
    upload = rows.select_for_update(of=("self",), skip_locked=True).first()
    if upload is None:
        raise BusyError
    if not expired_uploads(now).filter(pk=pk).exists():
        return None
    sessions.discard(upload)
    failpoint("collect.before_expire_commit")
    return upload.repository


def has_old_records(now: datetime) -> bool:
    """Tell whether audit events or tag moves are older than they are kept."""
    kept = settings.REGISTRY.audit
    before = now - RECORDS_STEP
    return queries.has_before(before - kept.retention) or _HAS_MOVES.row(before - kept.history_retention) is not None


def remove_old_records(now: datetime, throttle: Throttle) -> None:
    """Remove old audit events and tag moves within a budget, some in each transaction.

    Raises StopError when `throttle` does.
    """
    kept, ends_at = settings.REGISTRY.audit, time.monotonic() + RECORDS_SECONDS
    for _ in range(RECORDS_STEPS):
        started_at = time.monotonic()
        events = queries.remove_before(now - kept.retention, RECORDS_AT_ONCE)
        moves = transactions.run_volatile(_REMOVE_MOVES.run, now - kept.history_retention, RECORDS_AT_ONCE)
        throttle.pause(started_at)
        if RECORDS_AT_ONCE not in (events, moves) or time.monotonic() > ends_at:
            return


def empty_trash(now: datetime, report: Report, throttle: Throttle) -> None:
    """Delete every object that is due at `now`, then its row; nothing during a backup.

    A backup in progress still reads the objects of its snapshot. One that begins after the check needs none that is
    due: an object of its snapshot is put into the trash later than `now`. Raises what the storage raises when it does
    not answer, and StartError for the bucket of another registry.
    """
    if lease.is_taken(Job.BACKUP):
        return
    # An unmounted storage lacks every object, as another bucket does: none of them may count as deleted.
    check_storage()
    if due_trash(now).exists():
        bucket_owner.refuse_other()
    for page in by_age(due_trash(now), "delete_after"):
        for first in range(0, len(page), OBJECTS_AT_ONCE):
            started_at = time.monotonic()
            _delete_objects([row.pk for row in page[first : first + OBJECTS_AT_ONCE]], report, throttle)
            throttle.pause(started_at)


def abort_unfinished_writes(report: Report, throttle: Throttle) -> None:
    """Abort writes to a cloud that began long ago: their process died, and their parts take space unseen.

    Raises StartError for the bucket of another registry.
    """
    try:
        bucket_owner.refuse_other()
        for write in sessions.abandoned_writes():
            write.abort()
            logger.info("unfinished write aborted", extra={"key": write.key, "begun_at": write.begun_at.isoformat()})
            throttle.check()
    except CloudError:
        logger.exception("unfinished writes can't be aborted")
        report.failures += 1


def _delete_objects(pks: list[int], report: Report, throttle: Throttle) -> None:
    """Delete the objects of these rows, then the rows together."""
    deleted: list[int] = []
    try:
        # Read again: `fsck --repair` takes an object that is in use out of the trash.
        for pk, key in _OBJECTS.rows(pks):
            if _is_deleted(pk, key, report):
                deleted.append(pk)
            # A storage may need seconds for each: the lease is renewed meanwhile, and the run can be stopped.
            throttle.check()
    finally:
        # If this fails, or a power cut undoes it, the next run repeats it: a missing object counts as deleted.
        try:
            report.objects += transactions.run_volatile(_REMOVE_OBJECTS.run, deleted)
            DELETED_OBJECTS.add(len(deleted))
        except (Error, RegistryError):
            logger.exception("the rows of deleted objects can't be removed", extra={"rows": len(deleted)})
            report.failures += len(deleted)
        failpoint("trash.after_row")


def _is_deleted(pk: int, key: str, report: Report) -> bool:
    """Delete an object; if that fails, put it off: otherwise it would fail again, and be logged, every minute."""
    try:
        failpoint("trash.before_delete")
        blob_store().delete(key)
    except Exception:  # one broken object must not keep the others
        logger.exception("an object of the trash can't be deleted", extra={"key": key})
        report.failures += 1
        with suppress(Error, RegistryError):
            transactions.run_volatile(Trash.objects.filter(pk=pk).update, delete_after=Now() + trash.DELAY)
        return False
    failpoint("trash.after_delete")
    return True
