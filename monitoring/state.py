"""The state of the server that a scrape reads: cheap statements, none of which goes through a whole table.

Counts end at MOST: beyond it a number says only that there are that many.
"""

import logging
import os
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Max

from collector import schedule
from collector.models import Run, Scrub, State
from core.db import clock
from core.db.ballast import database_file
from core.db.statement import Statement
from core.shared_check import SharedCheck
from distribution.models import Blob
from distribution.storage.blob_store import blob_store
from webhooks import queue
from webhooks.models import Webhook

# A scrape every 15 seconds reads anew; two Prometheus servers share what one of them read.
FRESH_SECONDS = 5.0
# Less than the timeout of a scrape, 10 seconds by default.
PATIENCE_SECONDS = 5.0
MOST = 10_000

_UPLOADS = Statement(f"SELECT count(*) FROM (SELECT 1 FROM distribution_upload LIMIT {MOST}) counted")  # noqa: S608
_OVERDUE_OBJECTS = Statement(f"""
SELECT count(*) FROM (
    SELECT 1 FROM distribution_trash WHERE delete_after < statement_timestamp() LIMIT {MOST}
) counted
""")  # noqa: S608 - a number of this module

logger = logging.getLogger(__name__)


class Sample(NamedTuple):
    """A value of the gauge or counter `name`, with its labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Described(NamedTuple):
    """The help text of a gauge or counter, and the names of its labels."""

    documentation: str
    labels: tuple[str, ...] = ()


DESCRIBED = {
    "registry_database_up": Described("Whether the database answered this scrape."),
    "registry_uploads_open": Described(f"Open uploads, at most {MOST}."),
    "registry_collection_due": Described("Whether the next scheduled collection should begin."),
    "registry_collection_overdue": Described("Whether no scheduled collection was done for two intervals."),
    "registry_collection_last_run_timestamp_seconds": Described(
        "When the last collection of this state began: done, failed or stopped.", ("state",)
    ),
    "registry_collection_last_run_freed_bytes": Described("Bytes that the last collection removed."),
    "registry_collection_overdue_objects": Described(f"Objects that could be deleted by now, at most {MOST}."),
    "registry_scrub_progress_ratio": Described("The part of the blobs that this round of the scrub has behind it."),
    "registry_scrub_checked_blobs": Described("Blobs read in this round."),
    "registry_scrub_corrupt_blobs": Described("Blobs found corrupt in this round."),
    "registry_scrub_failed_blobs": Described("Blobs that could not be read to the end in this round."),
    "registry_scrub_rounds_total": Described("Rounds of the scrub that ended."),
    "registry_webhook_deliveries_total": Described(
        "Attempts at deliveries of a webhook, by outcome: delivered or failed; dropped: events given up.",
        ("webhook", "outcome"),
    ),
    "registry_webhook_pending": Described(f"Events that wait for a webhook, at most {MOST}.", ("webhook",)),
    "registry_webhook_oldest_seconds": Described("Age of the oldest event that waits for a webhook.", ("webhook",)),
    "registry_webhook_failing": Described("Whether the last deliveries of a webhook all failed.", ("webhook",)),
    "registry_disk_size_bytes": Described("Size of the disk of the storage or of SQLite.", ("disk",)),
    "registry_disk_used_bytes": Described("Bytes in use on that disk, by anybody.", ("disk",)),
    "registry_disk_free_bytes": Described("Bytes free on that disk for this user.", ("disk",)),
    "registry_disk_reserve_bytes": Described("Bytes that storage.min_free keeps free of that disk.", ("disk",)),
}


@cache
def shared() -> tuple[SharedCheck[tuple[Sample, ...]], SharedCheck[tuple[Sample, ...]]]:
    """Return the two checks of this process: of the database and of the disks. One that is late leaves its part out."""
    late = (Sample("registry_database_up", 0.0),)
    return (
        SharedCheck(of_database, late, PATIENCE_SECONDS, FRESH_SECONDS),
        SharedCheck(of_disks, (), PATIENCE_SECONDS, FRESH_SECONDS),
    )


def of_database() -> tuple[Sample, ...]:
    """Return the state that the database knows."""
    try:
        return (*_collection(), *_scrub(), *_webhooks(), Sample("registry_database_up", 1.0))
    except Exception:
        logger.warning("the database does not answer /metrics", exc_info=True)
        return (Sample("registry_database_up", 0.0),)
    finally:
        connection.close()


def _collection() -> Iterator[Sample]:
    yield Sample("registry_uploads_open", _UPLOADS.value())
    yield Sample("registry_collection_due", schedule.is_due())
    yield Sample("registry_collection_overdue", schedule.is_overdue())
    yield Sample("registry_collection_overdue_objects", _OVERDUE_OBJECTS.value())
    for state in (State.DONE, State.FAILED, State.STOPPED):
        # One step in the index of state and time.
        run = Run.objects.filter(state=state, is_dry_run=False).order_by("-started_at").first()
        if run is not None:
            name = "registry_collection_last_run_timestamp_seconds"
            yield Sample(name, _seconds(run.started_at), (state.value,))
        if run is not None and state is State.DONE:
            yield Sample("registry_collection_last_run_freed_bytes", run.freed_bytes)


def _scrub() -> Iterator[Sample]:
    row = Scrub.objects.first()
    if row is None or settings.REGISTRY.storage.scrub is None:
        return
    last = Blob.objects.aggregate(last=Max("pk"))["last"] or 0
    yield Sample("registry_scrub_progress_ratio", min(1.0, row.position / last) if last else 1.0)
    yield Sample("registry_scrub_checked_blobs", row.checked)
    yield Sample("registry_scrub_corrupt_blobs", row.corrupt)
    yield Sample("registry_scrub_failed_blobs", row.failures)
    yield Sample("registry_scrub_rounds_total", row.rounds)


def _webhooks() -> Iterator[Sample]:
    now = clock.now()
    for hook in Webhook.objects.select_related("delivery_state"):
        label = (hook.name,)
        yield Sample("registry_webhook_pending", queue.pending_count(hook.pk, MOST), label)
        oldest = queue.oldest(hook.pk)
        yield Sample("registry_webhook_oldest_seconds", (now - oldest).total_seconds() if oldest else 0.0, label)
        state = queue.state_of(hook)
        if state is not None:
            yield Sample("registry_webhook_failing", state.failing_since is not None, label)
            for outcome in ("delivered", "failed", "dropped"):
                yield Sample("registry_webhook_deliveries_total", getattr(state, outcome), (hook.name, outcome))


def of_disks() -> tuple[Sample, ...]:
    """Return the space of the disk of the storage and of that of SQLite; a cloud has none."""
    database = database_file()
    folders = {"storage": blob_store().folder(), "database": None if database is None else Path(database).parent}
    return tuple(sample for name, folder in folders.items() if folder is not None for sample in _disk(name, folder))


def _disk(name: str, folder: Path) -> Iterator[Sample]:
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        logger.warning("the disk does not answer /metrics: %s", error)
        return
    size = disk.f_blocks * disk.f_frsize
    yield Sample("registry_disk_size_bytes", size, (name,))
    yield Sample("registry_disk_used_bytes", size - disk.f_bfree * disk.f_frsize, (name,))
    yield Sample("registry_disk_free_bytes", disk.f_bavail * disk.f_frsize, (name,))
    yield Sample("registry_disk_reserve_bytes", settings.REGISTRY.storage.min_free.of(size), (name,))


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
