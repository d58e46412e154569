"""Pages ask as many statements for many rows as for a few, and find by index what they show."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from distribution.models import Manifest, Repository, Tag, TagMove
from tests.distribution.test_query_plans import plan_of, reads_in_order
from tests.distribution.test_statements import statements
from tests.images import Image, digest_of
from tests.web.test_pages import signed_in

MANY = 120
NOW = datetime(2026, 1, 31, tzinfo=UTC)
APP = "/repositories/alice/app"
# Statements at most: session, account, permissions version and rules are five of them.
PAGES = {
    "/": 10,
    "/?sort=size": 10,
    "/?sort=pulled&q=r1": 10,
    "/?prefix=": 10,
    "/?prefix=alice/": 10,
    "/?q=r1": 10,
    "/?q=app:v1": 10,
    f"/?q={digest_of(b'never pushed')}": 10,
    APP: 21,
    f"{APP}?sort=newest": 21,
    f"{APP}/-/v1/history": 10,
    f"{APP}/~/deleted": 10,
    f"{APP}/-/v1/delete": 17,
    f"{APP}/~/delete": 12,
    f"{APP}/~/description": 8,
}


def fill(first: int, last: int) -> None:
    """Add repositories, tags and moves with these numbers."""
    numbers = range(first, last)
    tag = Tag.objects.get(name="v1")
    Repository.objects.bulk_create(
        [Repository(name=f"alice/r{n:03}/x", is_listed=True, size=n, pushed_at=NOW) for n in numbers]
    )
    rows = Repository.objects.filter(name__in=[f"alice/r{n:03}/x" for n in numbers])
    Manifest.objects.bulk_create(
        [
            Manifest(
                repository=row, digest=f"d{row.pk}", payload=b"{}", size=2, last_used_at=NOW, is_unreferenced=False
            )
            for row in rows
        ]
    )
    Tag.objects.bulk_create(
        [
            Tag(
                repository=tag.repository, name=f"t{n:03}", manifest=tag.manifest, updated_at=NOW + timedelta(seconds=n)
            )
            for n in numbers
        ]
    )
    TagMove.objects.bulk_create(
        [
            TagMove(repository="alice/app", tag=name, old_digest=f"sha256:{n}", moved_at=NOW)
            for n in numbers
            for name in ("v1", f"gone{n}")
        ]
    )


@pytest.fixture
def browser(push: Callable[..., Image]) -> Client:
    push("alice/app", "v1")
    fill(0, 5)
    return signed_in("alice")


@pytest.mark.parametrize("path", PAGES)
def test_more_rows_need_no_more_statements(browser: Client, path: str) -> None:
    few = len(statements(lambda: browser.get(path)))
    fill(5, MANY)
    many = statements(lambda: browser.get(path))

    assert len(many) <= min(few + 3, PAGES[path]), "\n".join(many)
    assert browser.get(path).status_code == 200


def plans_of(browser: Client, path: str, table: str) -> list[str]:
    """Return the plans of the page's statements that begin with `table`."""
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(path).status_code == 200
    found = [query["sql"] for query in captured.captured_queries]
    return [plan_of(sql) for sql in found if re.search(rf'^\s*SELECT.*? FROM "?{table}"? ', sql, re.DOTALL)]


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/?after=alice/r010/x", "distribution_repository"),
        (f"{APP}?after=t010", "distribution_tag"),
        (f"{APP}/-/v1/history", "distribution_tagmove"),
    ],
)
def test_a_page_by_name_reads_an_index_in_its_order(browser: Client, path: str, table: str) -> None:
    fill(5, MANY)

    found = plans_of(browser, path, table)

    assert found
    assert all(reads_in_order(plan) or "SCAN CONSTANT" in plan for plan in found), found


def test_a_digest_is_looked_for_in_the_index_of_each_repository(browser: Client) -> None:
    fill(5, MANY)

    with CaptureQueriesContext(connection) as captured:
        browser.get(f"/?q={digest_of(b'never pushed')}")

    searched = [query["sql"] for query in captured.captured_queries if "searched" in query["sql"]]
    assert len(searched) == len(["of public", "of alice"])
    for plan in map(plan_of, searched):
        # Without statistics PostgreSQL takes either index that begins with the repository.
        assert "repository_id=? AND digest=?" in plan or "Index Cond: (" in plan, plan
        assert not re.search(r"SCAN distribution_manifest|Seq Scan on distribution_manifest", plan), plan
