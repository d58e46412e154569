"""What the dashboard shows, from rows that are kept for it: daily counts, daily space, sizes of repositories."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils.timezone import now

from accounts import permissions_version
from accounts.models import Account
from collector import schedule
from collector.models import Run, Scrub, State, Trigger
from core.shared_check import SharedCheck
from core.sizes import counted, size_text
from distribution.deletion import without_hidden
from distribution.models import DailyStorage, Manifest, Repository
from distribution.storage import disk_reserve
from distribution.usage import quota_figures, storage
from distribution.usage.quota_figures import Figure
from policies import compiled
from policies.models import Quota
from registry_project import probes
from webhooks import queue

DAYS = 30
LARGEST = 10
QUOTAS = 8
# That are compared: each is a query.
MOST_QUOTAS = 50
PATIENCE_SECONDS = 3.0
FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Card:
    """A number with its name, and a sentence about it."""

    name: str
    value: str
    note: str = ""
    is_bad: bool = False


def cards() -> list[Card]:
    """Return the numbers at the top."""
    space = storage.latest()
    # `is_listed` says only that a manifest was put there once.
    has_manifest = Exists(Manifest.objects.filter(repository=OuterRef("pk")))
    listed = Repository.objects.filter(has_manifest, is_listed=True).count()
    saved = space.linked_bytes - space.stored_bytes
    share = f", {100 * saved // space.linked_bytes} %" if space.linked_bytes else ""
    return [
        Card("Repositories", str(listed), counted(Account.objects.filter(is_active=True).count(), "active account")),
        Card("Stored", size_text(space.stored_bytes), counted(space.blobs, "blob")),
        Card(
            "Saved by sharing", size_text(max(0, saved)), f"of {size_text(space.linked_bytes)} in repositories{share}"
        ),
        _disk(),
    ]


def _disk() -> Card:
    try:
        space = disk_reserve.space()
    except OSError:
        return Card("Free space", "unknown", "the storage does not answer", is_bad=True)
    if space is None:
        return Card("Free space", "no limit", "the storage is a cloud")
    rows = list(DailyStorage.objects.order_by("-day")[: storage.MOST_DAYS])[::-1]
    left = storage.full_in(rows, space.low_mark)
    if space.is_low:
        note = f"pushes are refused: {size_text(space.low_mark)} are kept free"
    elif len(rows) < storage.LEAST_DAYS:
        note = "a forecast needs three days"
    elif left is None:
        note = "not full within ten years"
    else:
        note = f"full on {(rows[-1].day + left):%Y-%m-%d} at the present rate"
    return Card("Free space", size_text(space.free), note, is_bad=space.is_low)


def space_by_day() -> list[DailyStorage]:
    """Return the rows of the last DAYS days, the oldest first."""
    return list(DailyStorage.objects.filter(day__gt=now().date() - timedelta(days=DAYS)).order_by("day"))


def largest() -> list[Repository]:
    """Return the repositories with the most bytes."""
    rows = without_hidden(Repository.objects.filter(size__gt=0)).order_by("-size")
    return list(rows.only("name", "size", "pushed_at", "pulled_at")[:LARGEST])


def fullest_quotas() -> list[Figure]:
    """Return the quotas that are nearest to their limit."""
    return quota_figures.fullest(compiled.all_of(Quota, permissions_version.current())[:MOST_QUOTAS], QUOTAS)


def collections() -> tuple[Run | None, str]:
    """Return the last scheduled run that was done, and when the next one begins, in words."""
    section = settings.REGISTRY.garbage_collector
    last = Run.objects.filter(state=State.DONE, trigger=Trigger.SCHEDULE, is_dry_run=False).first()
    if not section.is_enabled:
        return last, "none is scheduled (garbage_collector.enabled)"
    if last is None or last.started_at + section.interval <= now():
        return last, "within a minute"
    return last, f"{last.started_at + section.interval:%Y-%m-%d %H:%M} UTC"


@cache
def _storage_state() -> SharedCheck[tuple[str, str]]:
    return SharedCheck(probes.read_storage, (probes.UNAVAILABLE, probes.UNKNOWN), PATIENCE_SECONDS, FRESH_SECONDS)


def health() -> list[Card]:
    """Return the state of each part, as `/health` names it; the page itself proves that the database answers."""
    storage_state, space = _storage_state().result()
    is_enabled = settings.REGISTRY.garbage_collector.is_enabled
    collection = ("overdue" if schedule.is_overdue() else probes.OK) if is_enabled else "disabled"
    states = [("Database", probes.OK), ("Storage", storage_state), ("Space", space), ("Collection", collection)]
    cards = [Card(name, state, is_bad=state not in (probes.OK, "disabled")) for name, state in states]
    scrub = Scrub.objects.first()
    corrupt = scrub.corrupt if scrub is not None else 0
    cards.append(Card("Scrub", counted(corrupt, "corrupt blob") if corrupt else probes.OK, is_bad=bool(corrupt)))
    if failing := queue.failing():
        cards.append(Card("Webhooks", f"failing: {', '.join(failing)}", is_bad=True))
    return cards
