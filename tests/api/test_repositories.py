"""`GET /api/v1/repositories`."""

from collections.abc import Callable
from typing import Any

import pytest

from acl.models import Rule
from tests.api.asking import answered, ask, items
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

    assert {repository["name"]: repository["actions"] for repository in listed(alice)["items"]} == dict.fromkeys(
        ("alice/a", "alice/b", "alice/c", "public/tool"), everything
    )
    assert {repository["name"]: repository["actions"] for repository in listed(bob)["items"]} == {
        "alice/a": ["pull"],
        "alice/b": ["pull"],
        "alice/c": ["pull"],
        "public/tool": ["pull"],
    }


def test_it_does_not_list_what_the_account_may_not_pull(four_repositories: None, charlie: Caller) -> None:
    assert [repository["name"] for repository in listed(charlie)["items"]] == ["public/tool"]


def test_who_may_only_push_does_not_see_the_repository(four_repositories: None, charlie: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/*", actions="push")

    assert [repository["name"] for repository in listed(charlie)["items"]] == ["public/tool"]


def test_a_rule_counts_from_the_next_request_on(four_repositories: None, charlie: Caller) -> None:
    assert len(listed(charlie)["items"]) == 1

    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/b", actions="pull")

    assert [repository["name"] for repository in listed(charlie)["items"]] == ["alice/b", "public/tool"]


def test_it_is_read_page_by_page(four_repositories: None, alice: Caller) -> None:
    first = answered(alice, "repositories?limit=3&contains=")

    assert first["next"] == "/api/v1/repositories?limit=3&contains=&after=alice%2Fc"
    assert [found["name"] for found in items(alice, "repositories?limit=3")] == [
        *("alice/a", "alice/b", "alice/c", "public/tool")
    ]


def test_the_next_page_is_in_a_header_too(four_repositories: None, alice: Caller) -> None:
    response = ask(alice, "GET", "repositories?limit=1")

    assert response["Link"] == f'<{response.json()["next"]}>; rel="next"'


def test_a_last_page_that_is_full_says_that_it_is_the_last(four_repositories: None, alice: Caller) -> None:
    response = ask(alice, "GET", "repositories?limit=4")

    assert response.json()["next"] is None
    assert "Link" not in response


@pytest.mark.parametrize("limit", ["-1", "0", "201", "x", "1.5", "", "9" * 5000])
def test_a_limit_that_is_none_is_400(alice: Caller, limit: str) -> None:
    problem = answered(alice, f"repositories?limit={limit}", 400)

    assert list(problem["errors"]) == ["limit"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("prefix=alice/", ["alice/a", "alice/b", "alice/c"]),
        ("prefix=alice/b", ["alice/b"]),
        ("prefix=bob", []),
        ("prefix=%C3%A9", []),
        ("contains=tool", ["public/tool"]),
        ("prefix=a&contains=/c", ["alice/c"]),
        ("prefix=alice/&after=alice/a", ["alice/b", "alice/c"]),
    ],
)
def test_it_is_filtered(four_repositories: None, alice: Caller, query: str, names: list[str]) -> None:
    assert [found["name"] for found in answered(alice, f"repositories?{query}")["items"]] == names


def test_anonymous_sees_what_everybody_may_pull(four_repositories: None, anonymous: Caller) -> None:
    assert [found["name"] for found in answered(anonymous, "repositories")["items"]] == ["public/tool"]


@pytest.mark.parametrize("after", ["%00", "alice/a%00"])
def test_a_start_that_no_name_is_is_400(alice: Caller, after: str) -> None:
    assert list(answered(alice, f"repositories?after={after}", 400)["errors"]) == ["after"]
