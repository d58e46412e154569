"""`GET /api/v1/repositories`."""

from collections.abc import Callable
from typing import Any

import pytest

from acl.models import Rule
from tests.caller import Caller
from tests.images import Image


def listed(caller: Caller, **query: str) -> Any:
    """Return the answer of the list."""
    response = caller.client.get("/api/v1/repositories", query, headers={"Authorization": caller.basic})
    assert response.status_code == 200, response.content
    return response.json()


@pytest.fixture
def four_repositories(push: Callable[..., Image]) -> None:
    """Push to three repositories of alice and a public one."""
    for name in ("alice/a", "alice/b", "alice/c", "public/tool"):
        push(name, "v1")


def test_it_lists_what_the_account_may_pull_and_what_it_may_do_there(
    four_repositories: None, alice: Caller, bob: Caller
) -> None:
    everything = ["delete", "pull", "push"]

    assert listed(alice)["repositories"] == [
        {"name": name, "actions": everything} for name in ("alice/a", "alice/b", "alice/c", "public/tool")
    ]
    assert {repository["name"]: repository["actions"] for repository in listed(bob)["repositories"]} == {
        "alice/a": ["pull"],
        "alice/b": ["pull"],
        "alice/c": ["pull"],
        "public/tool": ["pull"],
    }


def test_it_does_not_list_what_the_account_may_not_pull(four_repositories: None, charlie: Caller) -> None:
    assert [repository["name"] for repository in listed(charlie)["repositories"]] == ["public/tool"]


def test_who_may_only_push_does_not_see_the_repository(four_repositories: None, charlie: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/*", actions="push")

    assert [repository["name"] for repository in listed(charlie)["repositories"]] == ["public/tool"]


def test_a_rule_counts_from_the_next_request_on(four_repositories: None, charlie: Caller) -> None:
    assert len(listed(charlie)["repositories"]) == 1

    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/b", actions="pull")

    assert [repository["name"] for repository in listed(charlie)["repositories"]] == ["alice/b", "public/tool"]


def test_it_is_read_page_by_page(four_repositories: None, alice: Caller) -> None:
    names: list[str] = []
    query = {"n": "3"}
    pages = 0
    while query["n"]:
        page = listed(alice, **query)
        names += [repository["name"] for repository in page["repositories"]]
        pages += 1
        query = {"n": "3", "last": page["next"]} if page["next"] else {"n": ""}

    assert names == ["alice/a", "alice/b", "alice/c", "public/tool"]
    assert pages == 2


def test_a_last_page_that_is_full_says_that_it_is_the_last(four_repositories: None, alice: Caller) -> None:
    assert listed(alice, n="4")["next"] is None


def test_a_page_of_nothing_is_empty(four_repositories: None, alice: Caller) -> None:
    assert listed(alice, n="0")["repositories"] == []


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "٣"])
def test_a_number_that_is_none_is_400(alice: Caller, number: str) -> None:
    response = alice.client.get("/api/v1/repositories", {"n": number}, headers={"Authorization": alice.basic})

    assert response.status_code == 400
    assert number.isascii() is (number in response.json()["detail"])


@pytest.mark.parametrize("last", ["\0", "\ud800", "zzz", "alice/a\0"])
def test_any_start_is_taken(four_repositories: None, alice: Caller, last: str) -> None:
    response = alice.client.get(
        "/api/v1/repositories", {"last": last.encode("utf-8", "surrogatepass")}, headers={"Authorization": alice.basic}
    )

    assert response.status_code == 200
