"""`GET` and `HEAD /v2/<name>/manifests/<reference>`."""

import json
from collections.abc import Callable

import pytest

from distribution.protocol import spec
from tests.caller import Caller, error_codes
from tests.images import Image, descriptor, digest_of, index, push_blob, put_manifest

UNKNOWN = digest_of(b"never pushed")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_manifest_comes_with_its_headers(push: Callable[..., Image], bob: Caller, method: str, by: str) -> None:
    image = push("alice/app", "v1")
    reference = "v1" if by == "tag" else image.digest

    response = bob.send(method, f"/v2/alice/app/manifests/{reference}")

    assert response.status_code == 200
    assert response["Content-Type"] == spec.OCI_MANIFEST
    assert response["Content-Length"] == str(len(image.payload))
    assert response["Docker-Content-Digest"] == image.digest
    assert response["ETag"] == f'"{image.digest}"'
    assert response.content == (image.payload if method == "GET" else b"")


def test_bytes_come_back_as_they_were_with_spaces_and_unknown_fields(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"{}")
    config = json.dumps(descriptor(b"{}", "application/vnd.example+json"))
    fields = f'"layers":[ ],\n\n\t"config" : {config},"schemaVersion":2, "mediaType":"{spec.OCI_MANIFEST}"'
    payload = f'{{ {fields}, "\u00e9\U0001f600":[1.50, null] }}\n'.encode()

    put_manifest(alice, "alice/app", "v1", payload)

    assert alice.get("/v2/alice/app/manifests/v1").content == payload


@pytest.mark.parametrize("accept", ["application/json", "text/html", spec.DOCKER_MANIFEST, "*/*;q=0", "nonsense", ""])
def test_what_is_stored_is_returned_whatever_is_accepted(
    push: Callable[..., Image], alice: Caller, accept: str
) -> None:
    image = push()

    response = alice.get("/v2/alice/app/manifests/v1", headers={"Accept": accept})

    assert response.status_code == 200
    assert response.content == image.payload
    assert response["Content-Type"] == spec.OCI_MANIFEST


@pytest.mark.parametrize("form", ['"%s"', "%s", 'W/"%s"', '"sha256:other", "%s"', "sha256:other,%s"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_a_client_has_is_304(push: Callable[..., Image], alice: Caller, method: str, form: str) -> None:
    image = push()

    response = alice.send(method, "/v2/alice/app/manifests/v1", headers={"If-None-Match": form % image.digest})

    assert response.status_code == 304
    assert response["Docker-Content-Digest"] == image.digest
    assert response["ETag"] == f'"{image.digest}"'
    assert response.content == b""


def test_what_a_client_had_before_the_tag_moved_is_200(push: Callable[..., Image], alice: Caller) -> None:
    old, new = push(content=b"old"), push(content=b"new")

    response = alice.get("/v2/alice/app/manifests/v1", headers={"If-None-Match": f'"{old.digest}"'})

    assert response.status_code == 200
    assert response.content == new.payload


@pytest.mark.parametrize("reference", ["v2", "V1", UNKNOWN, ".hidden", "-x", "a" * 129, "%00", "v1%0A", "v1 "])
def test_an_unknown_reference_is_404_manifest_unknown(
    push: Callable[..., Image], alice: Caller, reference: str
) -> None:
    push("alice/app", "v1")

    response = alice.get(f"/v2/alice/app/manifests/{reference}")

    assert response.status_code == 404
    assert error_codes(response) in (["MANIFEST_UNKNOWN"], ["NAME_UNKNOWN"])


@pytest.mark.parametrize("reference", ["v1", UNKNOWN])
def test_a_repository_that_never_was_is_404_name_unknown(alice: Caller, reference: str) -> None:
    response = alice.get(f"/v2/alice/none/manifests/{reference}")

    assert response.status_code == 404
    assert error_codes(response) == ["NAME_UNKNOWN"]


@pytest.mark.parametrize("reference", ["sha256:", "sha256:abc", "md5:" + "0" * 32, UNKNOWN.upper(), "a:b:c"])
def test_what_has_a_colon_and_is_no_digest_is_400(alice: Caller, reference: str) -> None:
    response = alice.get(f"/v2/alice/app/manifests/{reference}")

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]


def test_a_manifest_of_another_repository_is_unknown(push: Callable[..., Image], alice: Caller) -> None:
    image = push("alice/secret", "v1")
    push("alice/app", "v1", b"something else")

    response = alice.get(f"/v2/alice/app/manifests/{image.digest}")

    assert response.status_code == 404
    assert error_codes(response) == ["MANIFEST_UNKNOWN"]


def test_tags_are_case_sensitive(push: Callable[..., Image], alice: Caller) -> None:
    lower, upper = push("alice/app", "tag", b"lower"), push("alice/app", "TAG", b"upper")

    assert alice.get("/v2/alice/app/manifests/tag").content == lower.payload
    assert alice.get("/v2/alice/app/manifests/TAG").content == upper.payload


def test_an_index_is_not_resolved_to_a_child(push: Callable[..., Image], alice: Caller) -> None:
    payload = index(push("alice/app", "child").payload)
    put_manifest(alice, "alice/app", "v1", payload)

    response = alice.get("/v2/alice/app/manifests/v1", headers={"Accept": spec.OCI_MANIFEST})

    assert response.content == payload
    assert response["Content-Type"] == spec.OCI_INDEX


def test_a_private_repository_and_a_missing_one_answer_alike(push: Callable[..., Image], charlie: Caller) -> None:
    push("alice/app", "v1")

    private = charlie.get("/v2/alice/app/manifests/v1")
    missing = charlie.get("/v2/alice/xyz/manifests/v1")

    assert private.status_code == missing.status_code == 401
    assert private.content.replace(b"app", b"xyz") == missing.content


def test_what_anonymous_may_pull_needs_no_account(push: Callable[..., Image], anonymous: Caller) -> None:
    image = push("public/app", "v1")

    assert anonymous.get("/v2/public/app/manifests/v1").content == image.payload
