"""The tags of a repository: listed, read, moved, deleted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from acl.models import Rule
from acl.names import RepositoryName
from distribution import tags
from distribution.models import Repository, TagMove
from policies.models import ImmutableTags, Policy, ReadOnly
from tests.api.asking import answered, ask, items
from tests.caller import Caller
from tests.images import Image, index, put_manifest

TAGS = "repositories/alice/app/-/tags"


@pytest.fixture
def one(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1", b"one")


@pytest.fixture
def two(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v2", b"two, longer")


def test_they_are_listed_by_name(alice: Caller, one: Image, two: Image) -> None:
    found = items(alice, f"{TAGS}?limit=1")

    assert [(tag["name"], tag["digest"]) for tag in found] == [("v1", one.digest), ("v2", two.digest)]
    assert found[1]["size"] - found[0]["size"] == 2 * (len(b"two, longer") - len(b"one"))


def test_they_are_searched(alice: Caller, one: Image, two: Image) -> None:
    assert [tag["name"] for tag in items(alice, f"{TAGS}?contains=2")] == ["v2"]


def test_the_size_of_an_index_is_that_of_its_images(alice: Caller, one: Image, two: Image) -> None:
    assert put_manifest(alice, "alice/app", "all", index(one.payload, two.payload)).status_code == 201

    sizes = {tag["name"]: tag["size"] for tag in items(alice, TAGS)}

    assert sizes["all"] == sizes["v1"] + sizes["v2"]


@pytest.mark.parametrize("tag", ["none", "-x", "%00", "a" * 129, "ä"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_tag_that_is_none_is_404(alice: Caller, one: Image, method: str, tag: str) -> None:
    assert ask(alice, method, f"{TAGS}/{tag}").status_code == 404


def test_its_entity_tag_is_its_digest(alice: Caller, one: Image) -> None:
    response = ask(alice, "GET", f"{TAGS}/v1")

    assert response["ETag"] == f'"{one.digest}"'
    assert ask(alice, "GET", f"{TAGS}/v1", headers={"If-None-Match": response["ETag"]}).status_code == 304


def test_it_is_moved(alice: Caller, one: Image, two: Image) -> None:
    response = ask(alice, "PUT", f"{TAGS}/v2", {"digest": one.digest})

    assert (response.status_code, response.json()["digest"]) == (200, one.digest)
    assert alice.head("/v2/alice/app/manifests/v2")["Docker-Content-Digest"] == one.digest
    assert alice.head(f"/v2/alice/app/manifests/{two.digest}").status_code == 200


def test_it_is_created(alice: Caller, one: Image) -> None:
    response = ask(alice, "PUT", f"{TAGS}/latest", {"digest": one.digest})

    assert response.status_code == 201
    assert alice.head("/v2/alice/app/manifests/latest")["Docker-Content-Digest"] == one.digest


def test_it_is_not_moved_to_what_the_repository_lacks(alice: Caller, one: Image, push: Callable[..., Image]) -> None:
    elsewhere = push("alice/other", "v1", b"elsewhere")

    for digest in (elsewhere.digest, "v1", "sha256:0", ""):
        response = ask(alice, "PUT", f"{TAGS}/v1", {"digest": digest})
        assert (response.status_code, list(response.json()["errors"])) == (400, ["digest"])
    assert answered(alice, f"{TAGS}/v1")["digest"] == one.digest


def test_it_is_moved_only_from_where_the_client_saw_it(alice: Caller, one: Image, two: Image) -> None:
    seen = ask(alice, "GET", f"{TAGS}/v1")["ETag"]
    body = {"digest": two.digest}

    moved = ask(alice, "PUT", f"{TAGS}/v1", body, {"If-Match": seen})
    late = ask(alice, "PUT", f"{TAGS}/v1", {"digest": one.digest}, {"If-Match": seen})
    missing = ask(alice, "PUT", f"{TAGS}/new", body, {"If-Match": "*"})
    existing = ask(alice, "PUT", f"{TAGS}/v1", body, {"If-None-Match": "*"})

    assert [answer.status_code for answer in (moved, late, missing, existing)] == [200, 412, 412, 412]
    assert {tag["name"]: tag["digest"] for tag in items(alice, TAGS)} == {"v1": two.digest, "v2": two.digest}
    assert ask(alice, "PUT", f"{TAGS}/new", body, {"If-None-Match": "*"}).status_code == 201


def test_who_may_only_pull_moves_and_deletes_nothing(bob: Caller, alice: Caller, one: Image, two: Image) -> None:
    assert ask(bob, "PUT", f"{TAGS}/v1", {"digest": two.digest}).status_code == 403
    assert ask(bob, "DELETE", f"{TAGS}/v1").status_code == 403
    assert answered(bob, f"{TAGS}/v1")["digest"] == one.digest


def test_pushing_is_no_right_to_delete(bob: Caller, one: Image) -> None:
    Rule.objects.create(subject_kind="account", subject="bob", name="alice/*", actions="push")

    assert ask(bob, "PUT", f"{TAGS}/v2", {"digest": one.digest}).status_code == 201
    assert ask(bob, "DELETE", f"{TAGS}/v2").status_code == 403


def test_it_is_deleted_and_its_manifest_stays(alice: Caller, one: Image) -> None:
    assert ask(alice, "DELETE", f"{TAGS}/v1", headers={"If-Match": '"sha256:0"'}).status_code == 412

    assert ask(alice, "DELETE", f"{TAGS}/v1", headers={"If-Match": f'"{one.digest}"'}).status_code == 204

    assert alice.head("/v2/alice/app/manifests/v1").status_code == 404
    assert alice.head(f"/v2/alice/app/manifests/{one.digest}").status_code == 200


def test_the_tags_of_a_repository_called_tags(alice: Caller, push: Callable[..., Image]) -> None:
    for name, tag in (("alice/tags", "v1"), ("alice/tags/v1", "v2")):
        push("alice/x", tag)
        Repository.objects.filter(name="alice/x").update(name=name)

    assert [tag["name"] for tag in items(alice, "repositories/alice/tags/-/tags")] == ["v1"]
    assert answered(alice, "repositories/alice/tags/v1")["name"] == "alice/tags/v1"


def test_its_history_tells_who_moved_it_and_rolls_it_back(alice: Caller, bob: Caller, one: Image, two: Image) -> None:
    ask(alice, "PUT", f"{TAGS}/v1", {"digest": two.digest})
    ask(alice, "DELETE", f"{TAGS}/v1")

    moves = items(bob, f"{TAGS}/v1/history?limit=1")

    assert [(move["from"], move["to"]) for move in moves] == [
        (two.digest, None),
        (one.digest, two.digest),
        (None, one.digest),
    ]
    assert {move["account"] for move in moves} == {"alice"}
    assert [move["can_roll_back"] for move in moves] == [True, True, False]
    assert ask(alice, "PUT", f"{TAGS}/v1", {"digest": moves[1]["from"]}).status_code == 201
    assert answered(alice, f"{TAGS}/v1")["pushed_by"] == "alice"


def test_the_history_needs_the_right_to_pull(charlie: Caller, one: Image) -> None:
    assert ask(charlie, "GET", f"{TAGS}/v1/history").status_code == 404


def test_strangers_read_no_account_and_nothing_of_an_earlier_repository(
    anonymous: Caller, alice: Caller, push: Callable[..., Image]
) -> None:
    TagMove.objects.create(
        repository="public/app", tag="v1", new_digest="sha256:old", moved_at=now() - timedelta(days=9)
    )
    image = push("public/app", "v1")

    path = "repositories/public/app/-/tags/v1/history"
    assert [(move["to"], move["account"]) for move in items(anonymous, path)] == [(image.digest, None)]
    assert [move["account"] for move in items(alice, path)] == ["alice"]


def test_a_tag_that_moves_before_it_is_deleted_stays(
    push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = push("alice/app", "v1", b"one"), push("alice/app", "v2", b"two")

    def delete_late(*args: Any, **kwargs: Any) -> None:
        ask(alice, "PUT", f"{TAGS}/v1", {"digest": second.digest})
        delete(*args, **kwargs)

    delete = tags.delete
    monkeypatch.setattr(tags, "delete", delete_late)
    refused = ask(alice, "DELETE", f"{TAGS}/v1", headers={"If-Match": f'"{first.digest}"'})

    assert (refused.status_code, refused["Content-Type"]) == (412, "application/problem+json")
    assert answered(alice, f"{TAGS}/v1")["digest"] == second.digest


def test_it_says_why_policies_keep_it(alice: Caller, bob: Caller, one: Image, two: Image) -> None:
    assert [answered(alice, f"{TAGS}/v1")["obstacle"], answered(alice, "repositories/alice/app")["obstacle"]] == [
        None
    ] * 2
    ImmutableTags.objects.create(repositories="alice/*", tags="v1")

    assert "the tag v1 of alice/app is immutable" in answered(alice, f"{TAGS}/v1")["obstacle"]
    assert [bool(tag["obstacle"]) for tag in items(alice, TAGS)] == [True, False]
    assert answered(alice, "repositories/alice/app")["obstacle"] is None
    # A policy names other repositories too.
    assert answered(bob, f"{TAGS}/v1")["obstacle"] is None

    ReadOnly.objects.create(repositories="alice/*", message="until noon")
    assert answered(alice, "repositories/alice/app")["obstacle"] == "alice/app is read-only: until noon"


@pytest.mark.parametrize("policy", [ImmutableTags(repositories="*", tags="v*"), ReadOnly(repositories="*")])
def test_a_roll_back_that_a_policy_forbids_is_not_offered(
    alice: Caller, one: Image, push: Callable[..., Image], policy: Policy
) -> None:
    push("alice/app", "v1", b"another")
    history = f"{TAGS}/v1/history"
    assert [move["can_roll_back"] for move in items(alice, history)] == [True, False]

    policy.save()
    assert [move["can_roll_back"] for move in items(alice, history)] == [False, False]

    if isinstance(policy, ImmutableTags):
        tags.delete(RepositoryName("alice/app"), "v1", account="", rules=None, is_overridden=True)
        assert any(move["can_roll_back"] for move in items(alice, history))
