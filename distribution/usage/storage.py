"""What the registry stores and how much space is left, seen once an hour, a row a day."""

from datetime import UTC, datetime, timedelta

from django.db.models import Count, Sum
from django.db.models.functions import Now

from core.db import transactions
from core.db.statement import Statement
from distribution.models import Blob, DailyStorage, Repository
from distribution.storage import disk_reserve
from distribution.storage.blob_store import blob_store

INTERVAL_SECONDS = 3600.0
# A forecast needs some days, and older ones tell less of tomorrow.
LEAST_DAYS = 3
MOST_DAYS = 30
MOST_AHEAD_DAYS = 3650

_SEE = Statement("""
INSERT INTO distribution_dailystorage (day, stored_bytes, blobs, linked_bytes, free_bytes, seen_at)
SELECT %s::date, COALESCE(SUM(size), 0), COUNT(*), (SELECT COALESCE(SUM(size), 0) FROM distribution_repository),
    %s::bigint, statement_timestamp() FROM distribution_blob WHERE TRUE
ON CONFLICT (day) DO UPDATE SET stored_bytes = excluded.stored_bytes, blobs = excluded.blobs,
    linked_bytes = excluded.linked_bytes, free_bytes = excluded.free_bytes, seen_at = excluded.seen_at
""")


def see() -> None:
    """Store what there is now as the row of today; it reads all blobs, a tenth of a second for a million."""
    transactions.run_volatile(_SEE.run, datetime.now(UTC).date().isoformat(), _free_bytes())


def see_unless_fresh() -> None:
    """Do what `see` does unless another worker has within half an interval."""
    fresh = DailyStorage.objects.filter(seen_at__gt=Now() - timedelta(seconds=INTERVAL_SECONDS / 2))
    if not fresh.exists():
        see()


def latest() -> DailyStorage:
    """Return the newest row; until there is one, what `see` would store now."""
    found = DailyStorage.objects.order_by("-day").first()
    if found is not None:
        return found
    blobs = Blob.objects.aggregate(size=Sum("size"), number=Count("pk"))
    linked = Repository.objects.aggregate(size=Sum("size"))["size"]
    now = datetime.now(UTC)
    return DailyStorage(
        day=now.date(),
        stored_bytes=blobs["size"] or 0,
        blobs=blobs["number"],
        linked_bytes=linked or 0,
        free_bytes=_free_bytes(),
        seen_at=now,
    )


def _free_bytes() -> int | None:
    """Return the free bytes of the disk of the storage, None without a disk, or for one that does not answer."""
    folder = blob_store().folder()
    try:
        return None if folder is None else disk_reserve.space_of(folder).free
    except OSError:
        return None


def full_in(rows: list[DailyStorage], reserve: int) -> timedelta | None:
    """Return the time from the last row until only `reserve` bytes are free; None: not in sight.

    The trend is the least-squares line through the free bytes of the rows.
    """
    seen = [(row.day.toordinal(), row.free_bytes) for row in rows if row.free_bytes is not None]
    if len(seen) < LEAST_DAYS:
        return None
    mean_day = sum(day for day, _ in seen) / len(seen)
    mean_free = sum(free for _, free in seen) / len(seen)
    spread = sum((day - mean_day) ** 2 for day, _ in seen)
    slope = sum((day - mean_day) * (free - mean_free) for day, free in seen) / spread
    if slope >= 0:
        return None
    days = max(0.0, (seen[-1][1] - reserve) / -slope)
    return timedelta(days=days) if days <= MOST_AHEAD_DAYS else None
