"""Search events, newest first, by pages of keys; remove old ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from audit.kinds import Kind
from audit.models import Event, first_key
from core.db import transactions
from core.db.statement import Statement

BATCH = 500

_OLDEST = Statement("SELECT id FROM audit_event ORDER BY id LIMIT 1")
_REMOVE = Statement("""
DELETE FROM audit_event WHERE id IN (SELECT id FROM audit_event WHERE id < %s ORDER BY id LIMIT %s)
""")


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; None means anything, and the empty account is that of anonymous clients and commands."""

    kind: str | None = None
    account: str | None = None
    repository: str | None = None
    address: str | None = None
    digest: str | None = None
    """The beginning of a digest, with its algorithm."""

    since: datetime | None = None
    until: datetime | None = None


def find(search: Search) -> QuerySet[Event]:
    """Return the events, newest first: an index has them in this order, unless a beginning of a digest is given."""
    rows = Event.objects.order_by("-id")
    exact = {name: getattr(search, name) for name in ("kind", "account", "repository", "address")}
    rows = rows.filter(**{name: value for name, value in exact.items() if value is not None})
    if search.digest is not None:
        # A range, which the index has in byte order, whatever LIKE makes of it.
        rows = rows.filter(digest__gte=search.digest, digest__lt=f"{search.digest}\x7f")
    if search.since is not None:
        rows = rows.filter(id__gte=first_key(search.since))
    if search.until is not None:
        rows = rows.filter(id__lt=first_key(search.until))
    return rows


def page(search: Search, limit: int, before: int | None = None) -> list[Event]:
    """Return up to `limit` events, newest first, older than that with the key `before`."""
    rows = find(search)
    return list((rows if before is None else rows.filter(id__lt=before))[:limit])


def latest_denials(limit: int) -> list[Event]:
    """Return the newest refusals by token or rules."""
    return page(Search(kind=Kind.DENIAL), limit)


def latest_refused_logins(limit: int) -> list[Event]:
    """Return the newest refused logins."""
    return page(Search(kind=Kind.LOGIN_REFUSED), limit)


def in_batches(rows: QuerySet[Event], *, is_newest_first: bool) -> Iterator[Event]:
    """Yield `rows` in bounded memory, with neither a statement nor a connection in use between batches."""
    order, behind = ("-id", "id__lt") if is_newest_first else ("id", "id__gt")
    rows = rows.order_by(order)
    found = list(rows[:BATCH])
    while found:
        transactions.release_connection()
        yield from found
        found = list(rows.filter(**{behind: found[-1].pk})[:BATCH])


def has_before(at: datetime) -> bool:
    """Tell whether there is an event from before `at`."""
    oldest = _OLDEST.value()
    return oldest is not None and bool(oldest < first_key(at))


def remove_before(at: datetime, limit: int) -> int:
    """Remove up to `limit` events from before `at`, the oldest first; return how many, 0 when none is left."""
    return transactions.run_volatile(_REMOVE.run, first_key(at), limit)
