"""Read every blob again and again, slowly, and compare it with its digest: a round in the time of `storage.scrub`.

The round goes by primary keys, and time goes with it: the key that is read at a moment stands to the greatest as
the time since the round began stands to the whole. So there is nothing to write to a blob, and nothing to count.
What was missed while nothing ran is not made up for at once: the round takes longer.
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
from distribution.blobs import mark_corrupt
from distribution.models import Blob
from distribution.storage.blob_store import check_storage

logger = logging.getLogger(__name__)

ARREARS = timedelta(hours=1)
"""How much at most is read without a pause, in the time that it would take otherwise."""

WORTHWHILE = timedelta(minutes=10)
"""How late a blob is before a process is started for it and for those after it."""

# Other jobs may wait for the same process.
TURN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Next:
    """The blob to be read next, and when; `is_first` of a new round."""

    blob: Blob
    due_at: datetime
    is_first: bool


def is_due() -> bool:
    """Tell whether it is worth while to start a process that reads blobs."""
    period = settings.REGISTRY.storage.scrub
    if period is None:
        return False
    row = Scrub.objects.first()
    found = None if row is None else _next(row, period)
    return row is None or (found is not None and found.due_at + WORTHWHILE <= clock.now())


def turn(watch: Callable[[], None]) -> bool:
    """Read what is due, for TURN_SECONDS and the rest of a blob; False when a blob could not be read to the end.

    A run that is asked for meanwhile comes before the next blob.

    `watch` is called after each piece; what it raises ends the turn, and the blob is read again. Raises what the
    storage raises when it does not answer at all.
    """
    period, now = settings.REGISTRY.storage.scrub, clock.now()
    if period is None:
        return True
    check_storage()
    begun = {"reached_at": now, "began_at": now}
    row, _ = transactions.run(Scrub.objects.get_or_create, pk=1, defaults=begun)
    is_well, ends_at = True, time.monotonic() + TURN_SECONDS
    while time.monotonic() < ends_at and not queue.may_begin():
        found = _next(row, period)
        if found is None or found.due_at > now:
            break
        if found.is_first:
            _begin_round(row, now)
        is_well = _check(row, found.blob, watch) and is_well
        row.position, row.reached_at = found.blob.pk, max(found.due_at, now - ARREARS)
        row.checked += 1
        transactions.run_volatile(row.save)
    return is_well


def _next(row: Scrub, period: timedelta) -> _Next | None:
    """Return what comes after the row's position, None when there is no blob."""
    sound = Blob.objects.filter(is_corrupt=False).order_by("pk")
    last = Blob.objects.order_by("-pk").values_list("pk", flat=True).first()
    following = sound.filter(pk__gt=row.position).first()
    blob = following or sound.first()
    if blob is None or last is None:
        return None
    steps = blob.pk - (row.position if following else 0)
    return _Next(blob, row.reached_at + period * (steps / last), is_first=following is None)


def _begin_round(row: Scrub, now: datetime) -> None:
    counts = {"checked": row.checked, "corrupt": row.corrupt, "failures": row.failures}
    logger.info("every blob was read", extra=counts | {"since": row.began_at.isoformat()})
    row.began_at, row.rounds = now, row.rounds + 1
    row.checked = row.corrupt = row.failures = 0


def _check(row: Scrub, blob: Blob, watch: Callable[[], None]) -> bool:
    """Read the blob; what has other bytes than it should answers 404 until a push heals it.

    Return False when it could not be read to the end.
    """

    def rest(began_at: float) -> None:
        # As long as it took: half of the disk's time is left to others, whatever its speed.
        time.sleep(time.monotonic() - began_at)
        watch()

    watch()
    try:
        fault = fault_of(blob, is_deep=True, rest=rest)
    except StopError:
        raise
    except Exception:  # whatever is wrong with one object, the others are still to be read
        check_storage()
        logger.exception("a blob could not be read", extra={"digest": blob.digest, "key": blob.key})
        row.failures += 1
        return False
    if fault:
        _mark(row, blob, fault)
    return True


def _mark(row: Scrub, blob: Blob, fault: str) -> None:
    # A storage that is not mounted lacks every object: that is no reason to forget them.
    check_storage()
    mark_corrupt(blob.pk, blob.key)
    # Another key: a push healed it while it was read. No row: it was collected.
    if Blob.objects.filter(pk=blob.pk, key=blob.key).exists():
        logger.error("a blob is corrupt: %s", fault, extra={"digest": blob.digest, "key": blob.key})
        row.corrupt += 1
