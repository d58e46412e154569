"""`GET /v2/_catalog`."""

from collections.abc import Callable, Sequence

import pytest
from django.db.models.functions import Now

from acl.models import Rule
from distribution import repositories
from distribution.models import Manifest, Repository
from tests.caller import Caller, error_codes
from tests.images import Image

# Byte order: a dash, a dot and a slash come before letters and digits, an underscore between capitals and small ones.
NAMES = ["alice/a", "alice/a-b", "alice/a.b", "alice/a/b", "alice/a0", "alice/a_b", "alice/ab", "bob/b", "public/p"]


@pytest.fixture
def holding(cast: None) -> Sequence[str]:
    """Let each of NAMES hold a manifest."""
    for name in reversed(NAMES):
        hold(name)
    return NAMES


def hold(name: str) -> None:
    repository = Repository.objects.create(name=name, is_listed=True)
    Manifest.objects.create(
        repository=repository,
        digest="sha256:x",
        media_type="x",
        payload=b"",
        size=0,
        last_used_at=Now(),
        is_unreferenced=True,
    )


def listed(caller: Caller, query: str = "") -> list[str]:
    return list(caller.get(f"/v2/_catalog{query}").json()["repositories"])


def test_an_account_sees_what_it_may_pull_in_byte_order(holding: Sequence[str], alice: Caller) -> None:
    response = alice.get("/v2/_catalog")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"repositories": [name for name in holding if not name.startswith("bob/")]}


def test_nobody_sees_what_everybody_may_pull(holding: Sequence[str], anonymous: Caller) -> None:
    assert listed(anonymous) == ["public/p"]


def test_an_account_without_rules_sees_the_same(holding: Sequence[str], charlie: Caller) -> None:
    assert listed(charlie) == ["public/p"]


def test_a_right_to_push_alone_does_not_show_a_name(holding: Sequence[str], charlie: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="bob/*", actions="push")

    assert listed(charlie) == ["public/p"]


def test_no_token_is_401(holding: Sequence[str], alice: Caller) -> None:
    assert alice.get("/v2/_catalog", token="").status_code == 401


def test_a_token_of_any_scope_shows_what_its_account_may_pull(holding: Sequence[str], alice: Caller) -> None:
    response = alice.get("/v2/_catalog", scopes=["registry:catalog:*"])

    assert len(response.json()["repositories"]) == len(holding) - 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_pages_run_across_hidden_names_to_the_end(
    holding: Sequence[str], alice: Caller, monkeypatch: pytest.MonkeyPatch, size: int, batch: int
) -> None:
    monkeypatch.setattr(repositories, "BATCH", batch)
    url, seen, pages = f"/v2/_catalog?n={size}", [], 0

    while url:
        response = alice.get(url)
        seen += response.json()["repositories"]
        pages += 1
        url = response.headers.get("Link", "<>")[1:].partition(">")[0]

    assert seen == [name for name in holding if not name.startswith("bob/")]
    assert pages == -(-len(seen) // size)


def test_a_pattern_in_the_middle_of_names_is_judged_name_by_name(holding: Sequence[str], charlie: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="*/a*b", actions="pull")

    assert listed(charlie) == ["alice/a-b", "alice/a.b", "alice/a/b", "alice/a_b", "alice/ab", "public/p"]


def test_a_hidden_name_is_not_in_the_link(holding: Sequence[str], alice: Caller) -> None:
    hold("zed/last")

    response = alice.get("/v2/_catalog?n=8")

    assert response.json()["repositories"][-1] == "public/p"
    assert "Link" not in response


def test_a_page_starts_after_a_name_that_need_not_exist(holding: Sequence[str], alice: Caller) -> None:
    assert listed(alice, "?last=alice/a1") == ["alice/a_b", "alice/ab", "public/p"]


def test_a_link_is_encoded(holding: Sequence[str], alice: Caller) -> None:
    response = alice.get("/v2/_catalog?n=1")

    assert response["Link"] == '</v2/_catalog?last=alice%2Fa&n=1>; rel="next"'


@pytest.mark.parametrize("number", ["-1", "x", "1.5"])
def test_what_is_no_number_is_400(alice: Caller, number: str) -> None:
    response = alice.get(f"/v2/_catalog?n={number}")

    assert response.status_code == 400
    assert error_codes(response) == ["PAGINATION_NUMBER_INVALID"]


def test_none_asked_for_is_none(holding: Sequence[str], alice: Caller) -> None:
    response = alice.get("/v2/_catalog?n=0")

    assert response.json() == {"repositories": []}
    assert "Link" not in response


def test_a_repository_that_holds_nothing_is_not_listed(alice: Caller) -> None:
    alice.post("/v2/alice/app/blobs/uploads/")

    assert listed(alice) == []


def test_a_repository_leaves_with_its_last_manifest(push: Callable[..., Image], alice: Caller) -> None:
    first, second = push("alice/app", "v1"), push("alice/app", "v2", b"another layer")
    alice.delete(f"/v2/alice/app/manifests/{first.digest}")
    assert listed(alice) == ["alice/app"]

    alice.delete(f"/v2/alice/app/manifests/{second.digest}")

    assert listed(alice) == []


def test_a_repository_that_left_comes_back_with_the_next_manifest(push: Callable[..., Image], alice: Caller) -> None:
    image = push("alice/app", "v1")
    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    push("alice/app", "v1")

    assert listed(alice) == ["alice/app"]
