"""Pull events: queued in memory, and written to the outbox in batches by the thread of the deliverer.

A pull makes no row and waits for nothing. So these events are not transactional: a process that is killed loses those
of the last second, and beyond MAX_EVENTS further ones are forgotten.
"""

import logging
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any

from core.db import transactions
from webhooks import outbox
from webhooks.kinds import EventKind
from webhooks.outbox import Subject

MAX_EVENTS = 10_000

logger = logging.getLogger(__name__)
_Row = tuple[int, str, str, str, str]
_events: deque[tuple[str, list[_Row]]] = deque(maxlen=MAX_EVENTS)


def add(
    kind: EventKind,
    repository: str,
    reference: str,
    content: tuple[str, str, int | None],
    *,
    account: str,
    meta: Mapping[str, Any],
    version: str,
) -> None:
    """Queue an event if a webhook wants it.

    `content` has digest, media type and size of what was pulled; `meta` is the environment of the request.
    """
    hooks = outbox.subscribers(kind, repository, version)
    if hooks:
        digest, media_type, size = content
        subject = Subject(digest, "" if ":" in reference else reference, media_type, size)
        event_id, described = str(uuid.uuid4()), outbox.facts(account, meta, subject)
        _events.append((repository, [(hook, repository, kind.value, event_id, described) for hook in hooks]))


def store() -> None:
    """Write the queued events. Raises RegistryError; then they stay queued."""
    while _events:
        by_repository: dict[str, list[_Row]] = {}
        some = [_events.popleft() for _ in range(min(len(_events), outbox.ROWS))]
        for repository, rows in some:
            by_repository.setdefault(repository, []).extend(rows)
        try:
            for repository, rows in by_repository.items():
                transactions.run_volatile(outbox.insert, repository, rows)
        except Exception:
            # Some may be written already, and are then sent twice with one id.
            _events.extendleft(reversed(some))
            raise
