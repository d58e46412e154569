"""A tag that is set and immutable neither moves nor goes, whoever asks."""

from collections.abc import Callable

import pytest

from distribution.models import Tag
from tests.caller import Caller, error_codes
from tests.images import Image, put_manifest

Immutable = Callable[..., object]


@pytest.fixture
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


@pytest.fixture
def other(push: Callable[..., Image]) -> Image:
    return push("alice/app", "latest", b"another layer")


def target(tag: str) -> str:
    return Tag.objects.get(name=tag).manifest.digest


def test_a_tag_that_is_set_never_moves(alice: Caller, image: Image, other: Image, immutable: Immutable) -> None:
    immutable(tags="v*")

    response = put_manifest(alice, "alice/app", "v1", other.payload)

    assert (response.status_code, error_codes(response)) == (409, ["DENIED"])
    assert "the tag v1 of alice/app is immutable" in response.content.decode()
    assert "the tags v* of alice/* never move" in response.content.decode()
    assert target("v1") == image.digest


def test_the_same_digest_is_pushed_again(alice: Caller, image: Image, immutable: Immutable) -> None:
    immutable(tags="v*")

    assert put_manifest(alice, "alice/app", "v1", image.payload).status_code == 201


def test_a_new_tag_is_set_once(alice: Caller, other: Image, immutable: Immutable) -> None:
    immutable(tags="v*")

    assert put_manifest(alice, "alice/app", "v2", other.payload).status_code == 201


@pytest.mark.parametrize(
    "values",
    [
        {"tags": "v2*"},
        {"tags": "v*", "except_tags": "v1"},
        {"repositories": "alice/other", "tags": "v*"},
        {"tags": "v*", "except_repositories": "*/app"},
    ],
)
def test_other_tags_move(
    alice: Caller, image: Image, other: Image, immutable: Immutable, values: dict[str, str]
) -> None:
    immutable(**values)

    assert put_manifest(alice, "alice/app", "v1", other.payload).status_code == 201


def test_a_policy_counts_at_the_next_request(alice: Caller, image: Image, other: Image, immutable: Immutable) -> None:
    policy = immutable(tags="v*")
    assert put_manifest(alice, "alice/app", "v1", other.payload).status_code == 409

    policy.delete()  # type: ignore[attr-defined]

    assert put_manifest(alice, "alice/app", "v1", other.payload).status_code == 201


def test_none_of_several_tags_moves_when_one_may_not(
    alice: Caller, image: Image, other: Image, immutable: Immutable
) -> None:
    immutable(tags="v*")

    response = put_manifest(alice, "alice/app", f"{other.digest}?tag=new&tag=v1", other.payload)

    assert response.status_code == 409
    assert not Tag.objects.filter(name="new").exists()
