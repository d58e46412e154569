"""`GET`, `HEAD`, `DELETE /v2/<name>/blobs/<digest>`."""

from collections.abc import Callable

import pytest
from django.core.files.storage.memory import InMemoryStorage

from distribution.models import Blob, Link, Trash
from tests.caller import Caller, content, error_codes
from tests.images import Image, digest_of, push_blob, push_image

BYTES = b"some bytes of a layer"
DIGEST = digest_of(BYTES)
URL = f"/v2/alice/app/blobs/{DIGEST}"

HEADERS = {
    "Docker-Distribution-API-Version": "registry/2.0",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Type": "application/octet-stream",
    "Content-Length": str(len(BYTES)),
    "Docker-Content-Digest": DIGEST,
    "ETag": f'"{DIGEST}"',
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000",
}


def test_get_answers_with_the_bytes(alice: Caller, bob: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = bob.get(URL)

    assert response.status_code == 200
    assert content(response) == BYTES
    assert {name: response[name] for name in HEADERS} == HEADERS
    assert "Content-Disposition" not in response


def test_head_has_the_headers_of_get_and_no_body(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.head(URL)

    assert response.status_code == 200
    assert response.content == b""
    assert {name: response[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_empty_blob_is_a_blob(alice: Caller, method: str) -> None:
    digest = push_blob(alice, "alice/app", b"")

    response = alice.send(method, f"/v2/alice/app/blobs/{digest}")

    assert response.status_code == 200
    assert response["Content-Length"] == "0"
    assert content(response) == b""


def test_a_colon_may_be_encoded(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.head(
        URL.replace(":", "%3A"), meta={"RAW_URI": URL.replace(":", "%3A")}, scopes=["repository:alice/app:pull"]
    )

    assert response.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_what_was_never_pushed_is_404(alice: Caller, method: str) -> None:
    response = alice.send(method, URL)

    assert response.status_code == 404
    assert method == "HEAD" or error_codes(response) == ["BLOB_UNKNOWN"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "digest",
    ["nonsense", "sha256:", "sha256:abc", "md5:" + "0" * 32, DIGEST.upper(), DIGEST + "0", "sha512:" + "0" * 64, "%00"],
)
def test_what_is_no_digest_is_400(alice: Caller, method: str, digest: str) -> None:
    response = alice.send(method, f"/v2/alice/app/blobs/{digest}")

    assert response.status_code == 400
    assert method == "HEAD" or error_codes(response) == ["DIGEST_INVALID"]


def test_a_blob_of_another_repository_is_unknown(alice: Caller) -> None:
    push_blob(alice, "alice/secret", BYTES)

    response = alice.get(URL)

    assert response.status_code == 404


def test_a_blob_of_another_repository_is_unknown_to_delete_too(alice: Caller) -> None:
    push_blob(alice, "alice/secret", BYTES)

    response = alice.delete(URL)

    assert response.status_code == 404
    assert Link.objects.count() == 1


def test_who_may_not_pull_is_401_alike_for_a_private_and_a_missing_repository(alice: Caller, charlie: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    private, missing = charlie.get(URL), charlie.get(URL.replace("app", "none"))

    assert private.status_code == missing.status_code == 401
    assert private.content.replace(b"app", b"none") == missing.content


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("sent", [f'"{DIGEST}"', DIGEST, f'W/"{DIGEST}"', f'"other", "{DIGEST}"', "*"])
def test_what_a_client_has_is_304(alice: Caller, sent: str, method: str) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.send(method, URL, headers={"If-None-Match": sent})

    assert response.status_code == 304
    assert response["ETag"] == f'"{DIGEST}"'
    assert content(response) == b""


def test_what_a_client_has_not_is_200(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.get(URL, headers={"If-None-Match": '"sha256:another"'})

    assert content(response) == BYTES


def test_a_deleted_blob_is_gone_here_and_its_object_waits_in_the_trash(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    key = Blob.objects.get().key

    response = alice.delete(URL)

    assert response.status_code == 202
    assert response["Content-Length"] == "0"
    assert alice.get(URL).status_code == 404
    assert not Blob.objects.exists()
    assert Trash.objects.get().key == key


def test_a_blob_deleted_twice_is_404(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    alice.delete(URL)

    response = alice.delete(URL)

    assert response.status_code == 404


def test_a_blob_deleted_here_stays_elsewhere(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    push_blob(alice, "alice/other", BYTES)

    alice.delete(URL)

    assert content(alice.get(URL.replace("app", "other"))) == BYTES


def test_a_blob_that_a_manifest_uses_is_409_and_says_which(alice: Caller, push: Callable[..., Image]) -> None:
    image = push()

    response = alice.delete(f"/v2/alice/app/blobs/{image.layers[0]}")

    assert response.status_code == 409
    assert error_codes(response) == ["DENIED"]
    assert response.json()["errors"][0]["detail"]["manifests"] == [image.digest]
    assert f"in use by {image.digest}" in response.json()["errors"][0]["message"]


def test_a_manifest_elsewhere_does_not_keep_a_blob_here(alice: Caller) -> None:
    image = push_image(alice, "alice/other", "v1", BYTES)
    push_blob(alice, "alice/app", BYTES)

    response = alice.delete(URL)

    assert response.status_code == 202
    assert alice.head(f"/v2/alice/other/blobs/{image.layers[0]}").status_code == 200


@pytest.mark.parametrize(("method", "actions"), [("GET", "pull"), ("HEAD", "pull,push"), ("DELETE", "delete")])
def test_a_challenge_names_what_is_needed_and_for_head_what_a_push_will_need(
    anonymous: Caller, method: str, actions: str
) -> None:
    response = anonymous.send(method, URL, token="")

    assert f'scope="repository:alice/app:{actions}"' in response["WWW-Authenticate"]


def test_pull_is_not_enough_to_delete(alice: Caller, bob: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = bob.delete(URL)

    assert response.status_code == 401


def test_a_cloud_s_bytes_come_from_the_cloud(alice: Caller, cloud: InMemoryStorage) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.get(URL)

    assert response.status_code == 307
    assert response["Location"] == f"https://storage.example/{Blob.objects.get().key}"


def test_a_head_is_answered_here_whatever_the_storage(alice: Caller, cloud: InMemoryStorage) -> None:
    push_blob(alice, "alice/app", BYTES)

    response = alice.head(URL)

    assert response.status_code == 200
    assert {name: response[name] for name in HEADERS} == HEADERS
