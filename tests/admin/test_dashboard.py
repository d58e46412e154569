"""The admin's first page tells what the registry holds and what needs attention, to who may see those rows."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from collector.models import Run, Scrub
from distribution.models import DailyUse, Repository
from distribution.usage import counter
from distribution.usage.counter import Recorder
from tests.admin.browser import Browser, staff
from tests.caller import Caller
from tests.images import Image

PAGE = "/admin/"


def test_the_first_page_has_the_numbers(admin: Browser, alice: Caller, push: Callable[..., Image]) -> None:
    # Other tests of this process pulled too.
    counter._events.clear()
    push("alice/app", "v1", b"x" * 4096)
    push("alice/other", "v1", b"x" * 4096)
    alice.get("/v2/alice/app/manifests/v1")
    Recorder().store()
    two_days_ago = now().date() - timedelta(days=2)
    DailyUse.objects.create(repository="alice/app", day=two_days_ago, pulls=41, pushes=0)

    page = admin.text(PAGE)

    for text in ("Repositories", "2 blobs", "of 16.", "50 %", "42 in 30 days", "2 in 30 days", "within a minute"):
        assert text in page
    assert f"<title>{two_days_ago}: 41 pulls</title>" in page
    assert ">alice/other</a>" in page


def test_an_empty_registry_has_a_first_page(admin: Browser, db: None) -> None:
    page = admin.text(PAGE)

    assert "0 in 30 days" in page
    assert "The curve begins tomorrow" in page


@pytest.mark.parametrize(
    ("permission", "shown", "hidden"),
    [
        ("view_repository", "Largest repositories", "Health"),
        ("view_run", "Health", "Largest repositories"),
        ("view_account", "Choose a page in the menu", "Health"),
    ],
)
def test_staff_see_the_parts_that_they_may_view(cast: None, permission: str, shown: str, hidden: str) -> None:
    page = staff("somebody", permission).text(PAGE)

    assert shown in page
    assert hidden not in page


def test_corrupt_blobs_and_a_late_collection_are_named(admin: Browser) -> None:
    Scrub.objects.create(reached_at=now(), began_at=now(), corrupt=3)
    Run.objects.create(
        started_at=now() - timedelta(days=30),
        state="done",
        trigger="schedule",
        grace_period=timedelta(),
        remove_untagged=False,
        ended_at=now(),
    )

    page = admin.text(PAGE)

    assert "3 corrupt blobs" in page
    assert "overdue" in page


def test_the_number_of_statements_does_not_grow_with_the_registry(admin: Browser) -> None:
    admin.text(PAGE)
    with CaptureQueriesContext(
        connection,
    ) as few:
        admin.text(PAGE)
    Repository.objects.bulk_create([Repository(name=f"alice/{n}", is_listed=True, size=n) for n in range(500)])
    DailyUse.objects.bulk_create([DailyUse(repository=f"alice/{n}", day=now().date(), pulls=1) for n in range(500)])

    with CaptureQueriesContext(connection) as many:
        admin.text(PAGE)

    assert len(many) <= len(few) < 30
