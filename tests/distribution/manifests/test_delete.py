"""`DELETE /v2/<name>/manifests/<reference>`."""

from collections.abc import Callable

import pytest

from distribution.models import Link, Manifest, ManifestBlob, Tag
from tests.caller import Caller, error_codes
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest


def test_a_deleted_tag_leaves_its_manifest(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()

    response = alice.delete("/v2/alice/app/manifests/v1")

    assert response.status_code == 202
    assert response["Content-Length"] == "0"
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 404
    assert alice.get(f"/v2/alice/app/manifests/{image.digest}").content == image.payload
    assert Manifest.objects.get().is_unreferenced


def test_a_manifest_with_another_tag_is_still_held(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    put_manifest(alice, "alice/app", "v2", image.payload)

    alice.delete("/v2/alice/app/manifests/v1")

    assert not Manifest.objects.get().is_unreferenced


def test_a_deleted_manifest_goes_with_all_its_tags(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    put_manifest(alice, "alice/app", "v2", image.payload)

    response = alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert response.status_code == 202
    assert not Tag.objects.exists()
    for reference in ("v1", "v2", image.digest):
        assert alice.get(f"/v2/alice/app/manifests/{reference}").status_code == 404


def test_a_deleted_manifest_leaves_its_blobs_idle(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert not ManifestBlob.objects.exists()
    assert list(Link.objects.values_list("is_unreferenced", flat=True)) == [True, True]
    assert alice.delete(f"/v2/alice/app/blobs/{image.layers[0]}").status_code == 202


def test_a_blob_that_another_manifest_uses_stays_held(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    other = manifest(b"{}", b"a layer")
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v2", other)

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert alice.delete(f"/v2/alice/app/blobs/{image.layers[0]}").status_code == 409
    assert not Link.objects.get(blob__digest=image.layers[0]).is_unreferenced


def test_a_child_is_409_with_the_indexes_that_list_it(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    one, two = index(image.payload), index(image.payload, image.payload)
    put_manifest(alice, "alice/app", "one", one)
    put_manifest(alice, "alice/app", "two", two)

    response = alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    first, second = sorted([digest_of(one), digest_of(two)])
    assert response.status_code == 409
    assert error_codes(response) == ["DENIED"]
    assert response.json()["errors"][0]["detail"]["parents"] == [first, second]
    assert f"in use by {first} and others" in response.json()["errors"][0]["message"]
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 200


def test_the_tag_of_a_child_may_go(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    put_manifest(alice, "alice/app", "all", index(image.payload))

    assert alice.delete("/v2/alice/app/manifests/v1").status_code == 202
    assert not Manifest.objects.get(digest=image.digest).is_unreferenced


def test_a_child_whose_index_went_is_idle_and_may_go(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    payload = index(image.payload)
    put_manifest(alice, "alice/app", "all", payload)
    alice.delete("/v2/alice/app/manifests/v1")

    alice.delete(f"/v2/alice/app/manifests/{digest_of(payload)}")

    assert Manifest.objects.get().is_unreferenced
    assert alice.delete(f"/v2/alice/app/manifests/{image.digest}").status_code == 202


def test_a_subject_may_go_and_its_referrer_is_idle_then(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()
    referrer = index(subject=descriptor(image.payload))
    put_manifest(alice, "alice/app", digest_of(referrer), referrer)
    assert not Manifest.objects.get(digest=digest_of(referrer)).is_unreferenced

    response = alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert response.status_code == 202
    assert Manifest.objects.get().is_unreferenced


@pytest.mark.parametrize("reference", ["v9", digest_of(b"never pushed"), ".x", "a" * 129, "%00"])
def test_what_is_not_there_is_404(alice: Caller, push: Callable[..., Image], reference: str) -> None:
    push()

    response = alice.delete(f"/v2/alice/app/manifests/{reference}")

    assert response.status_code == 404
    assert error_codes(response) == ["MANIFEST_UNKNOWN"]


def test_what_has_a_colon_and_is_no_digest_is_400(alice: Caller) -> None:
    response = alice.delete("/v2/alice/app/manifests/sha256:abc")

    assert error_codes(response) == ["DIGEST_INVALID"]


def test_a_manifest_of_another_repository_stays(alice: Caller, push: Callable[..., Image]) -> None:
    image = push("alice/other", "v1")
    push("alice/app", "v1", b"else")

    response = alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert response.status_code == 404
    assert Manifest.objects.count() == 2


def test_the_same_image_in_another_repository_stays(alice: Caller, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    image = push("alice/other", "v1")

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert alice.get("/v2/alice/other/manifests/v1").content == image.payload


def test_push_is_not_enough(alice: Caller, push: Callable[..., Image]) -> None:
    push()

    response = alice.delete("/v2/alice/app/manifests/v1", scopes=["repository:alice/app:pull,push"])

    assert response.status_code == 401
    assert Tag.objects.exists()
