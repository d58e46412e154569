"""Pages cost what they show: the plans read an index in its order, from where the page starts."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from distribution.models import Repository, Tag
from distribution.protocol.spec import OCI_INDEX
from tests.caller import Caller
from tests.images import Image, digest_of, index, push_image, put_manifest

MANY = 50


def plan_of(sql: str) -> str:
    """Return the database's plan for `sql`, when it may neither sort nor read whole tables where it has a choice."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
            )
            cursor.execute(f"EXPLAIN {sql}")
            return "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return "\n".join(row[3] for row in cursor.fetchall())


def plans(act: Callable[[], Any], table: str) -> list[str]:
    """Return the plans of the statements on `table` that `act` runs."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        act()
    statements = [query["sql"] for query in captured.captured_queries if table in query["sql"]]
    return [plan_of(sql) for sql in statements if sql.lstrip().upper().startswith("SELECT")]


def reads_in_order(plan: str) -> bool:
    """Tell whether the plan neither sorts nor reads a table from its beginning to its end."""
    # `page` has the rows of the page, `found` those that are counted, and `json_each` values of a parameter.
    scans = [line for line in plan.splitlines() if re.search(r"^\s*SCAN (?!(?:page|found)$|json_each)|Seq Scan", line)]
    return not scans and "TEMP B-TREE" not in plan and "Sort" not in plan


@pytest.fixture
def many(push: Callable[..., Image]) -> None:
    """Fill a repository with tags, and the registry with repositories."""
    push("alice/app", "v1")
    first = Tag.objects.get()
    Tag.objects.bulk_create(
        [
            Tag(repository=first.repository, name=f"t{n}", manifest=first.manifest, updated_at=first.updated_at)
            for n in range(MANY)
        ]
    )
    Repository.objects.bulk_create([Repository(name=f"alice/r{n}", is_listed=True) for n in range(MANY)])


def test_a_page_of_tags_reads_their_index(many: None, alice: Caller) -> None:
    found = plans(lambda: alice.get("/v2/alice/app/tags/list?n=5&last=t1"), "distribution_tag")

    assert found
    assert all(reads_in_order(plan) for plan in found), found


def test_a_page_of_the_catalog_reads_the_index_of_names(many: None, alice: Caller) -> None:
    found = plans(lambda: alice.get("/v2/_catalog?n=5&last=alice/r1"), "distribution_repository")

    assert found
    assert all(reads_in_order(plan) for plan in found), found


def test_a_page_of_referrers_reads_their_index(many: None, alice: Caller) -> None:
    path = f"/v2/alice/app/referrers/sha256:{'0' * 64}?n=5"

    found = plans(lambda: alice.get(path), "distribution_manifest")

    assert found
    assert all(reads_in_order(plan) for plan in found), found


def test_a_manifest_is_found_by_index(many: None, alice: Caller) -> None:
    found = plans(lambda: alice.get("/v2/alice/app/manifests/v1"), "distribution_tag")

    assert found
    assert all(reads_in_order(plan) for plan in found), found


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
def test_a_push_reads_no_whole_repository(many: None, alice: Caller) -> None:
    image = push_image(alice, "alice/app", "v2")
    child = f"/v2/alice/app/manifests/{digest_of(index(image.payload))}?tag=a&tag=t1&tag=t2"

    def act() -> None:
        assert put_manifest(alice, "alice/app", "v2", image.payload).status_code == 201
        assert alice.put(child, index(image.payload), content_type=OCI_INDEX).status_code == 201

    found = [plan for table in ("manifest", "tag", "link") for plan in plans(act, f"distribution_{table}")]

    assert found
    # Of the index of incomplete manifests, EXISTS reads one row at most.
    read = r"(?<!INDEX distribution_incomplete )\(repository_id=\?\)|SCAN (?!json_each)"
    assert not [plan for plan in found if re.search(read, plan)]
