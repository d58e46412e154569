"""Events that are recorded, and written when a test looks at them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_django import Settings

from audit import recording
from audit.models import Event
from audit.recording import EventQueue
from configuration.values import Audit

Written = Callable[[], list[Event]]


@pytest.fixture
def queue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> EventQueue:
    """Switch the audit on, with a queue that no thread empties: it would not see the transaction of a test."""
    settings.REGISTRY = replace(settings.REGISTRY, audit=Audit())
    monkeypatch.setattr(EventQueue, "_start", lambda _self: None)
    monkeypatch.setattr(recording, "_queue", EventQueue())
    return recording._queue


@pytest.fixture
def written(queue: EventQueue, db: None) -> Written:
    """Write what is queued and return all events, the oldest first."""

    def write() -> list[Event]:
        while queue._pending:
            assert queue.write_batch()
        return list(Event.objects.order_by("id"))

    return write
