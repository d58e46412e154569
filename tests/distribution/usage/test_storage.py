"""The space of the registry is stored once a day, and tells when the disk will be full."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.utils.timezone import now

from distribution.models import Blob, DailyStorage
from distribution.usage import storage
from distribution.usage.counter import Recorder
from tests.images import Image

START = date(2026, 1, 1)


def days(*free: int | None) -> list[DailyStorage]:
    return [DailyStorage(day=START + timedelta(days=number), free_bytes=left) for number, left in enumerate(free)]


def test_a_layer_of_two_repositories_is_stored_once_and_linked_twice(push: Callable[..., Image]) -> None:
    push()
    push("alice/other")
    Recorder().store()

    found = storage.latest()

    stored = sum(Blob.objects.values_list("size", flat=True))
    assert (found.day, found.blobs, found.stored_bytes, found.linked_bytes) == (now().date(), 2, stored, 2 * stored)


def test_the_row_of_a_day_is_replaced(push: Callable[..., Image]) -> None:
    storage.see()
    push()

    storage.see()

    assert DailyStorage.objects.get().blobs == 2


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ((100, 90, 80), 6.0),
        ((100, 90, None, 70), 5.0),
        ((20, 19, 10), 0.0),
        ((100, 90), None),
        ((80, 90, 100), None),
        ((80, 80, 80), None),
        ((None, None, None), None),
        ((10**12, 10**12 - 100, 10**12 - 200), None),
    ],
    ids=[
        "falling",
        "a day is missing",
        "full",
        "too few days",
        "growing",
        "constant",
        "no disk",
        "millennia",
    ],
)
def test_the_day_when_the_disk_is_full_follows_from_the_trend(
    free: tuple[int | None, ...], expected: float | None
) -> None:
    found = storage.full_in(days(*free), reserve=20)

    assert found == (None if expected is None else timedelta(days=expected))


def test_a_worker_looks_once_an_interval_unless_another_has(push: Callable[..., Image]) -> None:
    first, second = Recorder(), Recorder()
    first.store()
    assert DailyStorage.objects.get().blobs == 0
    push()

    first.store()
    second.store()
    assert DailyStorage.objects.get().blobs == 0

    DailyStorage.objects.update(seen_at=now() - timedelta(hours=2))
    Recorder().store()
    assert DailyStorage.objects.get().blobs == 2
