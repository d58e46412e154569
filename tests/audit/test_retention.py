"""Old events and tag moves are removed by the jobs beside the server."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

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


@pytest.mark.parametrize("ago", [timedelta(days=89), timedelta(days=90, minutes=30)])
def test_no_process_starts_for_a_few_minutes(ago: timedelta) -> None:
    add(ago=ago)
    moved(ago)

    assert not expiry.has_old_records(clock.now())
