"""Old events and tag moves are removed by the jobs beside the server."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from audit.models import Event
from collector import expiry
from collector.jobs import due
from configuration.values import Audit
from core.db import clock
from distribution.models import TagMove
from tests.audit.test_list import add


@pytest.fixture(autouse=True)
def _kept(settings: Settings, cast: None) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, audit=Audit(is_enabled=False, retention=timedelta(days=90)))


def moved(ago: timedelta) -> None:
    """Add a move of a tag."""
    TagMove.objects.create(repository="alice/app", tag="v1", new_digest="sha256:1", moved_at=clock.now() - ago)


def test_what_is_older_than_it_is_kept_is_removed(settings: Settings) -> None:
    add(1200, ago=timedelta(days=91), account="old")
    add(3, ago=timedelta(days=89), account="young")
    for days in (91, 364, 366, 400):
        moved(timedelta(days=days))

    assert due.is_anything_due()
    due.run_due()

    assert set(Event.objects.values_list("account", flat=True)) == {"young"}
    assert TagMove.objects.count() == 2


def test_each_transaction_removes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    add(1200, ago=timedelta(days=91))
    left: list[int] = []

    class Watched:
        def pause(self, _started_at: float) -> None:
            left.append(Event.objects.count())

    watch: Callable[[], None] = Watched  # type: ignore[assignment]
    expiry.remove_old_records(clock.now(), watch())  # type: ignore[func-returns-value,arg-type]

    assert left == [700, 200, 0]


@pytest.mark.parametrize("budget", [("RECORDS_STEPS", 2), ("RECORDS_SECONDS", -1.0)])
def test_a_backlog_is_removed_over_several_intervals(monkeypatch: pytest.MonkeyPatch, budget: tuple[str, Any]) -> None:
    monkeypatch.setattr(expiry, "RECORDS_AT_ONCE", 10)
    monkeypatch.setattr(expiry, *budget)
    add(25, ago=timedelta(days=91))
    left = []

    while due.is_anything_due():
        due.run_due()
        left.append(Event.objects.count())

    assert left == ([5, 0] if budget[0] == "RECORDS_STEPS" else [15, 5, 0])


def test_the_trash_is_emptied_before_old_records_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    add(ago=timedelta(days=91))
    left: list[int] = []
    monkeypatch.setattr(expiry, "empty_trash", lambda *_: left.append(Event.objects.count()))

    due.run_due()

    assert (left[0], Event.objects.count()) == (1, 0)


@pytest.mark.parametrize("ago", [timedelta(days=89), timedelta(days=90, minutes=30)])
def test_no_process_starts_for_a_few_minutes(ago: timedelta) -> None:
    add(ago=ago)
    moved(ago)

    assert not expiry.has_old_records(clock.now())
