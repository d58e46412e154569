"""The outbox: rows that tell webhooks of a change, written by the transaction that makes it.

Without a webhook that wants the event nothing is run but the lookup in a cache. With one, a single INSERT writes a row
for each webhook. On PostgreSQL it takes an advisory lock of the repository first: so the keys of a repository's rows
are in the order of the commits, which is the order of delivery. It is the last statement of its transaction.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings

from accounts import permissions_version
from acl.glob import InvalidPatternError, compile_glob
from core.api.notes import REQUEST_ID
from core.caches import VersionedCache
from core.db.statement import Statement, database_of_thread
from webhooks.kinds import EventKind
from webhooks.models import Webhook
from webhooks.origin import Origin

# Of one INSERT: SQLite binds at most 32,766 values.
ROWS = 500
USER_AGENT_CHARACTERS = 255

_COLUMNS = (
    "webhook_id, repository, kind, event_id, facts, created_at, state, attempts, next_attempt_at, outcome, response"
)
_VALUES = "%s{b}, %s{t}, %s{t}, %s{t}, %s{t}, statement_timestamp(), 'pending', 0, statement_timestamp(), '', ''"


class Subscriber(NamedTuple):
    """A webhook that is enabled."""

    pk: int
    kinds: frozenset[str]
    matches: Callable[[str], bool]


class Subject(NamedTuple):
    """What an event is about; `source` is the repository that a blob was mounted from."""

    digest: str = ""
    tag: str = ""
    media_type: str = ""
    size: int | None = None
    source: str = ""


_cache: VersionedCache[tuple[Subscriber, ...]] = VersionedCache(name="webhooks")


def subscribers(kind: EventKind, repository: str, version: str | None) -> list[int]:
    """Return the webhooks that want such an event, at a permissions version; None means the current one."""
    active = _cache.get(version or permissions_version.current(), None, _active)
    return [hook.pk for hook in active if kind in hook.kinds and hook.matches(repository)] if active else []


def is_wanted(kind: EventKind, version: str | None) -> bool:
    """Tell whether a webhook wants such events of any repository."""
    active = _cache.get(version or permissions_version.current(), None, _active)
    return any(kind in hook.kinds for hook in active)


def _active() -> tuple[Subscriber, ...]:
    rows = Webhook.objects.filter(is_active=True).order_by("pk").values_list("pk", "events", "repositories")
    return tuple(Subscriber(pk, frozenset(events), _matcher(pattern)) for pk, events, pattern in rows)


def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        return compile_glob(pattern)
    except InvalidPatternError:
        # Written by other means than the form: no change may fail because of it.
        return lambda _name: False


def add(
    hooks: Sequence[int], kind: EventKind, repository: str, subjects: Sequence[Subject], *, account: str, origin: Origin
) -> None:
    """Write an event for each of `subjects`, in the transaction of the caller. Raises django.db.Error."""
    rows = []
    for subject in subjects:
        event_id = str(uuid.uuid4())
        described = facts(account, None if origin.request is None else origin.request.META, subject)
        rows += [(hook, repository, kind.value, event_id, described) for hook in hooks]
    insert(repository, rows)


def insert(repository: str, rows: Sequence[tuple[int, str, str, str, str]]) -> None:
    """Write rows of webhook, repository, kind, event id and facts. Raises django.db.Error."""
    is_postgresql = database_of_thread().vendor == "postgresql"
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        lock = (f"webhooks {repository}",) if is_postgresql else ()
        _insert(len(some), is_postgresql).run(*lock, *(value for row in some for value in row))


@lru_cache(maxsize=16)
def _insert(count: int, is_postgresql: bool) -> Statement:
    if not is_postgresql:
        values = ", ".join([f"({_VALUES.format(b='', t='')})"] * count)
        return Statement(f"INSERT INTO webhooks_delivery ({_COLUMNS}) VALUES {values}")  # noqa: S608 - of constants
    # The lock is taken before the first key is: keys are assigned to what the query returns.
    values = ", ".join([f"({_VALUES.format(b='::bigint', t='::text')})"] * count)
    return Statement(
        f"INSERT INTO webhooks_delivery ({_COLUMNS}) SELECT given.* FROM "  # noqa: S608 - of constants
        "(SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0)) OFFSET 0) held, "
        f"(VALUES {values}) given"
    )


def facts(account: str, meta: Mapping[str, Any] | None, subject: Subject) -> str:
    """Return what an envelope is made of later, as JSON; `meta` is the environment of a request, if there was one."""
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")}
    found |= {name: value for name, value in subject._asdict().items() if value not in ("", None)}
    if account:
        found["account"] = account
    base = settings.REGISTRY.server.public_url
    if meta is not None:
        host = meta.get("HTTP_HOST", "")
        found["request"] = {
            "id": meta.get(REQUEST_ID, ""),
            "addr": meta.get("REMOTE_ADDR") or "",
            "host": host,
            "method": meta.get("REQUEST_METHOD", ""),
            "useragent": str(meta.get("HTTP_USER_AGENT", ""))[:USER_AGENT_CHARACTERS],
        }
        base = base or (f"{meta.get('wsgi.url_scheme', 'http')}://{host}" if host else None)
    if base:
        found["base"] = base
    # In ASCII: PostgreSQL stores neither NUL nor halves of surrogate pairs, which a header may have escaped.
    return json.dumps(found, separators=(",", ":"))
