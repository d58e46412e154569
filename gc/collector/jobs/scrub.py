"""Scrub: read every blob and compare it with its digest, one round in each period `storage.scrub`.

A round visits the primary keys at constant speed: after half of the period it has reached half of the greatest key. So
blobs need no column for it, and nothing has to be counted. A pause of the server makes the round longer; the backlog is
not read at once.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from collector.fsck.blobs import fault_of
from collector.jobs import queue
from collector.models import Scrub
from collector.throttle import StopError
from core.db import clock, transactions
from distribution import bucket_owner
from distribution.blobs import mark_corrupt
from distribution.models import Blob
from distribution.storage.blob_store import check_storage

logger = logging.getLogger(__name__)

MAX_BACKLOG = timedelta(hours=1)
"""The longest part of the period whose blobs are read in a row after a delay."""

MIN_LATENESS = timedelta(minutes=10)
"""How late a blob must be before a process starts for it and those after it."""

# Other jobs wait for the same process.
SLICE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _NextBlob:
    """The next blob and its time; `is_first` means that a new round begins with it."""

    blob: Blob
    due_at: datetime
    is_first: bool


def is_due() -> bool:
    """Tell whether to start a process that reads blobs."""
    period = settings.REGISTRY.storage.scrub
    if period is None:
        return False
    row = Scrub.objects.first()
    found = None if row is None else _next(row, period)
    return row is None or (found is not None and found.due_at + MIN_LATENESS <= clock.now())


def run_slice(watch: Callable[[], None]) -> bool:
    """Read the blobs that are due for SLICE_SECONDS; return False if one could not be read to the end.

    A run requested meanwhile comes before the next blob.

    `watch` is called after each chunk; what it raises ends the slice, and the blob is read again. Raises what the
    storage raises when it does not answer at all, and StartError for the bucket of another registry.
    """
    period, now = settings.REGISTRY.storage.scrub, clock.now()
    if period is None:
        return True
    check_storage()
    bucket_owner.refuse_other()
    begun = {"reached_at": now, "began_at": now}
    row, _ = transactions.run(Scrub.objects.get_or_create, pk=1, defaults=begun)
    is_well, ends_at = True, time.monotonic() + SLICE_SECONDS
    while time.monotonic() < ends_at and not queue.may_begin():
        found = _next(row, period)
        if found is None or found.due_at > now:
            break
        if found.is_first:
            counts = {"checked": row.checked, "corrupt": row.corrupt, "failures": row.failures}
            logger.info("every blob was read", extra=counts | {"since": row.began_at.isoformat()})
            row.began_at, row.rounds = now, row.rounds + 1
            row.checked = row.corrupt = row.failures = 0
        is_well = _check(row, found.blob, watch) and is_well
        row.position, row.reached_at = found.blob.pk, max(found.due_at, now - MAX_BACKLOG)
        row.checked += 1
        transactions.run_volatile(row.save)
    return is_well


def _next(row: Scrub, period: timedelta) -> _NextBlob | None:
    """Return the blob after the row's position; None means that there are no blobs."""
    sound = Blob.objects.filter(is_corrupt=False).order_by("pk")
    last = Blob.objects.order_by("-pk").values_list("pk", flat=True).first()
    following = sound.filter(pk__gt=row.position).first()
    blob = following or sound.first()
    if blob is None or last is None:
        return None
    steps = blob.pk - (row.position if following else 0)
    return _NextBlob(blob, row.reached_at + period * (steps / last), is_first=following is None)


def _check(row: Scrub, blob: Blob, watch: Callable[[], None]) -> bool:
    """Read the blob; a corrupt one answers 404 until a push heals it.

    Return False if it could not be read to the end.
    """

    def pause(began_at: float) -> None:
        # As long as the read took: half of the disk's time stays free, whatever its speed.
        time.sleep(time.monotonic() - began_at)
        watch()

    watch()
    try:
        fault = fault_of(blob, is_deep=True, pause=pause)
    except StopError:
        raise
    except Exception:  # one unreadable object must not keep the others
        check_storage()
        logger.exception("a blob could not be read", extra={"digest": blob.digest, "key": blob.key})
        row.failures += 1
        return False
    if fault:
        _mark(row, blob, fault)
    return True


def _mark(row: Scrub, blob: Blob, fault: str) -> None:
    # An unmounted storage lacks every object: no blob may be marked then.
    check_storage()
    mark_corrupt(blob.pk, blob.key)
    # A push may have healed it meanwhile, with another key, or the collector removed it.
    if Blob.objects.filter(pk=blob.pk, key=blob.key).exists():
        logger.error("a blob is corrupt: %s", fault, extra={"digest": blob.digest, "key": blob.key})
        row.corrupt += 1
