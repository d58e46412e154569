"""`/api/v1/repositories/{name}`: counts and sizes, and its deletion."""

from collections.abc import Callable
from typing import Any

import pytest

from acl.models import Rule
from distribution import deletion
from distribution.models import Repository
from tests.api.asking import answered, ask
from tests.caller import Caller
from tests.images import Image, push_image


@pytest.fixture(autouse=True)
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


def test_it_has_counts_and_sizes(alice: Caller, image: Image) -> None:
    shared = push_image(alice, "alice/other", "v1", b"a layer")
    push_image(alice, "alice/app", "v2", b"another layer")

    found = answered(alice, "repositories/alice/app")

    assert {key: found[key] for key in ("name", "tags", "manifests", "blobs", "uploads", "keeps_untagged")} == {
        "name": "alice/app",
        "tags": 2,
        "manifests": 2,
        "blobs": 4,
        "uploads": 0,
        "keeps_untagged": False,
    }
    assert shared.layers == image.layers
    assert found["shared_bytes"] > len(b"a layer")
    assert found["own_bytes"] > len(b"another layer")
    assert answered(alice, "repositories/alice%2Fapp") == found


@pytest.mark.parametrize("path", ["", "/-/tags", "/-/tags/v1", "/-/manifests", "/-/manifests/v1"])
def test_without_the_right_to_pull_it_looks_as_if_it_was_not_there(
    anonymous: Caller, charlie: Caller, path: str
) -> None:
    for name in ("alice/app", "alice/none"):
        assert ask(anonymous, "GET", f"repositories/{name}{path}").status_code == 401
        assert ask(charlie, "GET", f"repositories/{name}{path}").status_code == 404
    assert (
        ask(charlie, "GET", f"repositories/alice/app{path}").content
        == ask(charlie, "GET", f"repositories/alice/none{path}").content
    )


@pytest.mark.parametrize("name", ["alice/none", "Alice", "-", "a" * 300, "a//b", "%00", "alice/app/-"])
def test_a_repository_that_is_none_is_404(alice: Caller, name: str) -> None:
    assert ask(alice, "GET", f"repositories/{name}").status_code == 404


def test_the_right_to_push_alone_shows_nothing(charlie: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/app", actions="push,delete")

    assert ask(charlie, "GET", "repositories/alice/app").status_code == 404
    assert ask(charlie, "DELETE", "repositories/alice/app").status_code == 404


def test_it_is_read_again_only_if_it_has_changed(alice: Caller) -> None:
    etag = ask(alice, "GET", "repositories/alice/app")["ETag"]
    same = ask(alice, "GET", "repositories/alice/app", headers={"If-None-Match": f'"x", W/{etag}'})
    push_image(alice, "alice/app", "v2", b"another layer")

    changed = ask(alice, "GET", "repositories/alice/app", headers={"If-None-Match": etag})

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert changed.status_code == 200


def test_its_deletion_tells_what_it_frees(alice: Caller) -> None:
    before = answered(alice, "repositories/alice/app")

    response = ask(alice, "DELETE", "repositories/alice/app")

    assert response.status_code == 200
    assert response.json() == {
        "name": "alice/app",
        "tags": 1,
        "manifests": 1,
        "blobs": 2,
        "uploads": 0,
        "freed_bytes": before["own_bytes"],
        "kept_bytes": 0,
    }
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 404
    assert ask(alice, "DELETE", "repositories/alice/app").status_code == 404


def test_it_is_not_deleted_without_the_right_to_delete(bob: Caller, anonymous: Caller) -> None:
    assert ask(bob, "DELETE", "repositories/alice/app").status_code == 403
    assert ask(anonymous, "DELETE", "repositories/alice/app").status_code == 401
    assert Repository.objects.filter(name="alice/app").exists()


def test_it_is_not_deleted_when_it_has_changed(alice: Caller) -> None:
    etag = ask(alice, "GET", "repositories/alice/app")["ETag"]
    push_image(alice, "alice/app", "v2", b"another layer")

    for expected in (etag, '"x"', f"W/{etag}"):
        assert ask(alice, "DELETE", "repositories/alice/app", headers={"If-Match": expected}).status_code == 412
    assert ask(alice, "DELETE", "repositories/alice/app", headers={"If-Match": "*"}).status_code == 200


def test_a_repository_that_is_pushed_to_before_it_is_deleted_stays(
    push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    seen = ask(alice, "GET", "repositories/alice/app")["ETag"]

    def begin_late(*args: Any, **options: Any) -> int:
        push("alice/app", "v2", b"another layer")
        return begin(*args, **options)

    begin = deletion.begin
    monkeypatch.setattr(deletion, "begin", begin_late)

    assert ask(alice, "DELETE", "repositories/alice/app", headers={"If-Match": seen}).status_code == 412
    assert answered(alice, "repositories/alice/app")["tags"] == 2
