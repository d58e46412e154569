"""The state of deliveries: due, delivered, tried again later, dropped; replay and removal.

    pending ──2xx──> delivered        a failure: later again, after 1 s, 2 s, 4 s … 1 h
       └── older than MAX_AGE, or MAX_PENDING newer ones: dropped, counted and logged

Only the oldest pending delivery of a webhook and repository is ever due. After FAILING_AFTER failures in a row a
webhook is failing: one delivery at a time probes it, at least every LAST_PROBE, and a success makes all others due.
"""

import json
import logging
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Min, QuerySet
from django.db.models.functions import Now

from core.db import clock, transactions
from webhooks import outbox
from webhooks.kinds import EventKind, State
from webhooks.models import Delivery, Webhook, WebhookState

FIRST_RETRY, LAST_RETRY = timedelta(seconds=1), timedelta(hours=1)
LAST_PROBE = timedelta(minutes=1)
FAILING_AFTER = 20
MAX_AGE = timedelta(days=7)
MAX_PENDING = 100_000
"""Of one webhook."""

KEPT = timedelta(days=7)
"""How long deliveries that ended can be looked at and replayed."""

BATCH = 1000
_OF_ATTEMPTS = (
    *("delivered", "failed", "failures_in_a_row", "failing_since", "next_attempt_at"),
    *("delivered_at", "failed_at", "error"),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """An attempt that ended."""

    delivery: Delivery
    is_delivered: bool
    outcome: str
    response: str = ""


def active() -> dict[int, Webhook]:
    """Return the enabled webhooks with their state."""
    return {hook.pk: hook for hook in Webhook.objects.filter(is_active=True).select_related("delivery_state")}


def due(hook: Webhook, limit: int) -> list[Delivery]:
    """Return deliveries that are due, the oldest of their repository each, those waiting longest first."""
    pending = Delivery.objects.filter(webhook=hook, state=State.PENDING)
    oldest = Delivery.objects.filter(pk__in=pending.values("repository").annotate(first=Min("pk")).values("first"))
    state = state_of(hook)
    if state is None or state.failing_since is None:
        oldest = oldest.filter(next_attempt_at__lte=Now())
    elif state.next_attempt_at is not None and state.next_attempt_at > clock.now():
        return []
    return list(oldest.order_by("next_attempt_at", "pk")[:limit])


def state_of(hook: Webhook) -> WebhookState | None:
    """Return the state of a webhook, None before its first delivery."""
    try:
        return hook.delivery_state
    except WebhookState.DoesNotExist:
        return None


def following(delivery: Delivery) -> Delivery | None:
    """Return what comes after a delivery in its repository, if it is due."""
    rows = Delivery.objects.filter(
        webhook=delivery.webhook_id, repository=delivery.repository, state=State.PENDING, pk__gt=delivery.pk
    )
    found = rows.order_by("pk").first()
    return found if found is not None and found.attempts == 0 else None


def record(results: Iterable[Result]) -> None:
    """Write what became of attempts. Raises RegistryError."""
    # Not durable: after a power cut an event is sent again.
    transactions.run_volatile(_record, list(results))


def _record(results: list[Result]) -> None:
    now = clock.now()
    for result in results:
        row = result.delivery
        values = {"attempts": F("attempts") + 1, "outcome": result.outcome[:255], "response": result.response}
        if result.is_delivered:
            values |= {"state": State.DELIVERED, "ended_at": now}
        elif row.kind == EventKind.TEST:
            values |= {"state": State.DROPPED, "ended_at": now}
        else:
            values["next_attempt_at"] = now + _pause(row.attempts + 1, LAST_RETRY)
        Delivery.objects.filter(pk=row.pk, state=State.PENDING).update(**values)
    by_hook: dict[int, list[Result]] = {}
    for result in results:
        by_hook.setdefault(result.delivery.webhook_id, []).append(result)
    for pk, of_hook in by_hook.items():
        _record_state(pk, of_hook, now)


def _record_state(pk: int, results: list[Result], now: datetime) -> None:
    state, _ = WebhookState.objects.get_or_create(webhook_id=pk)
    was_failing = state.failing_since is not None
    for result in results:
        if result.is_delivered:
            state.delivered += 1
            state.failures_in_a_row, state.failing_since, state.delivered_at = 0, None, now
            continue
        state.failed += 1
        state.failures_in_a_row += 1
        state.failed_at, state.error = now, result.outcome[:255]
        if state.failures_in_a_row >= FAILING_AFTER:
            state.failing_since = state.failing_since or now
            state.next_attempt_at = now + _pause(state.failures_in_a_row - FAILING_AFTER + 1, LAST_PROBE)
    state.save(update_fields=_OF_ATTEMPTS)
    if was_failing and state.failing_since is None:
        waiting = Delivery.objects.filter(webhook=pk, state=State.PENDING, next_attempt_at__gt=now)
        waiting.update(next_attempt_at=now)
    if was_failing != (state.failing_since is not None):
        about = {"webhook": state.webhook.name, "pending": pending_count(pk), "error": state.error}
        logger.warning("a webhook %s", "works again" if was_failing else "is failing", extra=about)


def _pause(failures: int, longest: timedelta) -> timedelta:
    """Return the time to wait after so many failures, between half of it and the whole: not all at once."""
    whole = min(FIRST_RETRY * int(2 ** min(failures - 1, 20)), longest)
    return whole * random.uniform(0.5, 1)  # noqa: S311 - spreads attempts, hides nothing


def pending_count(pk: int, most: int = MAX_PENDING) -> int:
    """Return how many deliveries of a webhook are pending, at most that many."""
    return Delivery.objects.filter(webhook=pk, state=State.PENDING).order_by()[:most].count()


def oldest(pk: int) -> datetime | None:
    """Return when the oldest pending event of a webhook was written, None without one."""
    found: datetime | None = Delivery.objects.filter(webhook=pk, state=State.PENDING).aggregate(at=Min("created_at"))[
        "at"
    ]
    return found


def failing() -> list[str]:
    """Return the names of enabled webhooks whose last deliveries all failed."""
    rows = Webhook.objects.filter(is_active=True, delivery_state__failing_since__isnull=False)
    return list(rows.values_list("name", flat=True))


def tidy() -> None:
    """Drop what was not delivered in time, and remove what ended long ago. Raises RegistryError."""
    transactions.run_volatile(_drop_old)
    _remove(Delivery.objects.filter(ended_at__lt=clock.now() - KEPT))
    # Written while the webhook was being deleted.
    _remove(Delivery.objects.exclude(webhook__in=Webhook.objects.values("pk")))


def _remove(rows: QuerySet[Delivery]) -> None:
    while pks := list(rows.values_list("pk", flat=True)[:BATCH]):
        transactions.run_volatile(Delivery.objects.filter(pk__in=pks).delete)


def _drop_old() -> None:
    now = clock.now()
    for hook in Webhook.objects.all():
        pending = Delivery.objects.filter(webhook=hook, state=State.PENDING)
        dropped = _drop(pending.filter(created_at__lt=now - MAX_AGE), now)
        # The newest that is too many, and all before it.
        if excess := pending.order_by("-pk").values_list("pk", flat=True)[MAX_PENDING : MAX_PENDING + 1]:
            dropped += _drop(pending.filter(pk__lte=excess[0]), now)
        if dropped:
            WebhookState.objects.get_or_create(webhook=hook)
            WebhookState.objects.filter(webhook=hook).update(dropped=F("dropped") + dropped)
            logger.warning("events were not delivered in time", extra={"webhook": hook.name, "dropped": dropped})


def _drop(rows: QuerySet[Delivery], now: datetime) -> int:
    return rows.update(state=State.DROPPED, ended_at=now)


def replay(rows: QuerySet[Delivery]) -> int:
    """Send deliveries again that ended, each with its own id; return how many."""
    ended = rows.exclude(state=State.PENDING)
    # Its age counts from now.
    again = {"state": State.PENDING, "attempts": 0, "ended_at": None, "created_at": Now(), "next_attempt_at": Now()}
    return transactions.run(ended.update, **again)


def test(hook: Webhook, account: str) -> str:
    """Queue a test event, which is tried once; return its id."""
    event_id = str(uuid.uuid4())
    facts: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")}
    row = (hook.pk, "", EventKind.TEST.value, event_id, json.dumps(facts | {"account": account}))
    transactions.run(outbox.insert, "", [row])
    return event_id
