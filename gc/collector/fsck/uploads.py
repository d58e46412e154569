"""Open uploads: their objects have all the bytes, and belong to them alone."""

from collections.abc import Iterator
from functools import partial
from uuid import UUID

from django.db.models import Q

from collector.batches import by_pk
from collector.fsck.problem import Problem
from core.db import transactions
from distribution.models import Blob, Segment, Upload
from distribution.storage.blob_store import MissingObjectError, blob_store
from distribution.uploads import sessions


def check() -> Iterator[Problem]:
    """Yield each upload that has lost bytes, and each blob whose object an upload names too."""
    for segment in by_pk(Segment.objects.filter(size__isnull=False)):
        fault = _fault(segment)
        # The upload may have ended meanwhile.
        if fault and Segment.objects.filter(pk=segment.pk).exists():
            repair = partial(transactions.run, _end, segment.upload_id)
            yield Problem(f"upload {segment.upload_id}: {fault}", "ended, its client has to start again", repair)
    segments = Q(key__in=Segment.objects.values("key"))
    assemblies = Q(key__in=Upload.objects.filter(assembly_key__isnull=False).values("assembly_key"))
    for rows in (Blob.objects.filter(segments), Blob.objects.filter(assemblies)):
        for blob in by_pk(rows):
            yield Problem(f"object {blob.key}: an upload names it beside blob {blob.digest}")


def check_unfinished_writes() -> Iterator[Problem]:
    """Yield each write to a cloud that began more than a day ago, did not end, and belongs to no open upload."""
    for write in sessions.abandoned_writes():
        what = f"object {write.key}: its write began at {write.begun_at:%Y-%m-%d %H:%M:%S} UTC and never ended"
        yield Problem(what, "aborted", write.abort)


def _fault(segment: Segment) -> str:
    """Return what is lost, empty if nothing is. Surplus bytes are of a request in progress, or of a killed one."""
    try:
        size, counted = blob_store().size(segment.key), segment.size or 0
    except MissingObjectError:
        return f"its object {segment.key} is missing"
    return "" if size >= counted else f"its object {segment.key} has {size} bytes instead of {counted}"


def _end(pk: UUID) -> None:
    upload = Upload.objects.select_for_update().filter(pk=pk).first()
    if upload is not None:
        sessions.discard(upload)
