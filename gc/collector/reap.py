"""Give back what uploads and removed blobs leave behind: sessions nobody goes on with, objects in the trash."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db.models import QuerySet

from collector.pace import Pace
from collector.report import Report
from collector.walk import BusyError, Walk
from distribution import leases, transactions, trash
from distribution.models import Segment, Trash, Upload, remove
from distribution.storage import blob_store, check_storage

# An upload ends this long after its last activity.
UPLOAD_EXPIRY = timedelta(hours=24)


def expired_uploads(now: datetime) -> QuerySet[Upload]:
    """Return the sessions that ended by themselves before `now`."""
    return Upload.objects.filter(leases.free(), active_at__lt=now - UPLOAD_EXPIRY)


def due_trash(now: datetime) -> QuerySet[Trash]:
    """Return the objects that may be deleted at `now`."""
    return Trash.objects.filter(delete_after__lte=now)


def expire_uploads(now: datetime, report: Report, pace: Pace) -> None:
    """End every upload that expired, and put its objects into the trash."""
    walk = Walk(expired_uploads(now), "active_at", partial(_expire, now=now))
    report.uploads += sum(walk.go(pace))
    report.busy += len(walk.busy)
    report.failures += len(walk.failed)


def empty_trash(now: datetime, report: Report, pace: Pace) -> None:
    """Delete every object that is due, then its row. Raises what the storage raises when it does not answer."""
    # A storage that is not mounted lacks every object: "absent" must not count as deleted then.
    check_storage()
    walk = Walk(due_trash(now), "delete_after", _delete_object)
    report.objects += sum(walk.go(pace))
    report.failures += len(walk.failed)


def _expire(pk: UUID, now: datetime) -> bool | None:
    return transactions.run(_expire_locked, pk, now)


def _expire_locked(pk: UUID, now: datetime) -> bool | None:
    rows = Upload.objects.filter(pk=pk)
    upload = rows.select_for_update(skip_locked=True).first()
    if upload is None:
        raise BusyError
    if not expired_uploads(now).filter(pk=pk).exists():
        return None
    keys = [upload.assembly_key, *Segment.objects.filter(upload=upload).values_list("key", flat=True)]
    trash.put(key for key in keys if key)
    remove(Segment.objects.filter(upload=upload))
    remove(rows)
    return True


def _delete_object(pk: int) -> bool | None:
    row = Trash.objects.filter(pk=pk).first()
    if row is None:
        return None
    blob_store().delete(row.key)
    remove(Trash.objects.filter(pk=pk))
    return True
