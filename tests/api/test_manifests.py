"""The manifests of a repository, and their referrers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from distribution.manifests import store
from tests.api.asking import answered, ask, items
from tests.caller import Caller
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest
from tests.web.image.artifacts import image as web_image
from web import platforms, stored

MANIFESTS = "repositories/alice/app/-/manifests"
REFERRERS = "repositories/alice/app/-/referrers"


@pytest.fixture
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


def push_referrer(caller: Caller, image: Image, artifact_type: str) -> str:
    """Push a manifest about an image and return its digest."""
    push_blob(caller, "alice/app", b"{}")
    about = descriptor(image.payload, json.loads(image.payload)["mediaType"])
    payload = manifest(b"{}", subject=about, artifactType=artifact_type, annotations={"by": "nobody"})
    answer = put_manifest(caller, "alice/app", digest_of(payload), payload)
    assert answer.status_code == 201, answer.content
    return digest_of(payload)


def test_they_are_listed_by_digest(alice: Caller, image: Image) -> None:
    about = push_referrer(alice, image, "application/x-a")

    found = items(alice, f"{MANIFESTS}?limit=1")

    assert [each["digest"] for each in found] == sorted([image.digest, about])
    assert {each["digest"]: each["subject"] for each in found} == {image.digest: None, about: image.digest}


@pytest.mark.parametrize(
    ("query", "is_image"), [("tagged=true", True), ("tagged=false", False), ("artifact_type=application/x-a", False)]
)
def test_they_are_filtered(alice: Caller, image: Image, query: str, is_image: bool) -> None:
    about = push_referrer(alice, image, "application/x-a")

    assert [each["digest"] for each in items(alice, f"{MANIFESTS}?{query}")] == [image.digest if is_image else about]


def test_one_has_its_size_its_tags_and_its_bytes(alice: Caller, image: Image) -> None:
    by_tag, by_digest = answered(alice, f"{MANIFESTS}/v1"), answered(alice, f"{MANIFESTS}/{image.digest}")

    assert by_tag == by_digest
    assert digest_of(by_tag["raw"].encode()) == image.digest
    assert (by_tag["tags"], by_tag["manifest_bytes"]) == (["v1"], len(image.payload))
    assert by_tag["size"] > len(b"a layer")


def test_an_index_has_platforms_however_odd(alice: Caller, image: Image) -> None:
    document = json.loads(index(image.payload))
    document["manifests"][0]["platform"] = {"os": "linux\ud800", "architecture": "<b>"}
    assert put_manifest(alice, "alice/app", "all", json.dumps(document).encode()).status_code == 201

    found = answered(alice, f"{MANIFESTS}/all")

    assert found["platforms"] == ["linux\ud800/<b>"]


def test_an_image_has_the_platform_of_its_config_which_its_entity_tag_does_not_depend_on(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    platforms._of_configs.clear()
    arm = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    web_image(alice, arm, b"layer", reference="arm")
    with monkeypatch.context() as patch:
        patch.setattr(stored, "content", unreadable)
        before = ask(alice, "GET", f"{MANIFESTS}/arm")

    after = ask(alice, "GET", f"{MANIFESTS}/arm")

    assert (before.json()["platforms"], after.json()["platforms"]) == ([], ["linux/arm64/v8"])
    assert before["ETag"] == after["ETag"]


def unreadable(_blob: object) -> bytes:
    raise stored.UnreadableError("the disk is away")


def test_it_is_read_again_only_if_it_has_changed(alice: Caller, image: Image) -> None:
    etag = ask(alice, "GET", f"{MANIFESTS}/v1")["ETag"]

    assert ask(alice, "GET", f"{MANIFESTS}/v1", headers={"If-None-Match": etag}).status_code == 304
    assert ask(alice, "DELETE", f"{MANIFESTS}/{image.digest}", headers={"If-Match": '"x"'}).status_code == 412
    assert ask(alice, "DELETE", f"{MANIFESTS}/{image.digest}", headers={"If-Match": etag}).status_code == 204


def test_its_deletion_removes_its_tags(alice: Caller, image: Image) -> None:
    assert ask(alice, "DELETE", f"{MANIFESTS}/{image.digest}").status_code == 204

    assert ask(alice, "GET", f"{MANIFESTS}/v1").status_code == 404


def test_a_tag_does_not_delete_a_manifest(alice: Caller, bob: Caller, image: Image) -> None:
    assert ask(alice, "DELETE", f"{MANIFESTS}/v1").status_code == 404
    assert ask(bob, "DELETE", f"{MANIFESTS}/{image.digest}").status_code == 403
    assert ask(bob, "GET", f"{MANIFESTS}/v1").status_code == 200


def test_one_that_an_index_lists_is_409(alice: Caller, image: Image) -> None:
    put_manifest(alice, "alice/app", "all", index(image.payload))

    response = ask(alice, "DELETE", f"{MANIFESTS}/{image.digest}")

    assert response.status_code == 409
    assert "delete the index first" in response.json()["detail"]


def test_referrers_are_listed_by_digest(alice: Caller, image: Image) -> None:
    kinds = {push_referrer(alice, image, kind): kind for kind in ("application/x-a", "application/x-b")}

    found = items(alice, f"{REFERRERS}/{image.digest}?limit=1")

    assert [(each["digest"], each["artifact_type"]) for each in found] == sorted(kinds.items())
    assert found[0]["annotations"] == {"by": "nobody"}
    filtered = items(alice, f"{REFERRERS}/{image.digest}?artifact_type=application/x-b")
    assert [each["artifact_type"] for each in filtered] == ["application/x-b"]


def test_referrers_need_a_digest_and_the_right_to_pull(alice: Caller, charlie: Caller, image: Image) -> None:
    assert ask(alice, "GET", f"{REFERRERS}/v1").status_code == 404
    assert ask(charlie, "GET", f"{REFERRERS}/{image.digest}").status_code == 404
    assert items(alice, f"{REFERRERS}/sha256:{'0' * 64}") == []


def test_a_manifest_that_gets_a_tag_before_it_is_deleted_stays(
    push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push("alice/app", "v1")
    seen = ask(alice, "GET", f"{MANIFESTS}/{image.digest}")["ETag"]

    def delete_late(*args: Any, **kwargs: Any) -> None:
        ask(alice, "PUT", "repositories/alice/app/-/tags/stable", {"digest": image.digest})
        delete(*args, **kwargs)

    delete = store.delete
    monkeypatch.setattr(store, "delete", delete_late)

    assert ask(alice, "DELETE", f"{MANIFESTS}/{image.digest}", headers={"If-Match": seen}).status_code == 412
    assert answered(alice, f"{MANIFESTS}/{image.digest}")["tags"] == ["stable", "v1"]
