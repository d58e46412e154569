"""Whole blobs: `POST …?digest=` with the body, and `POST` then one `PUT` as containerd does."""

from pathlib import Path

import pytest

from distribution.models import Blob, Link, Trash, Upload
from tests.caller import Caller, content, error_codes
from tests.distribution.invariants import broken, objects_on
from tests.distribution.sessions import cut, finish, start
from tests.images import digest_of, push_blob

BYTES = b"a whole blob"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("body", [BYTES, b""])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_post_with_a_digest_is_201(alice: Caller, algorithm: str, body: bytes, *, chunked: bool) -> None:
    digest = digest_of(body, algorithm)

    response = alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest}", body, chunked=chunked)

    assert response.status_code == 201
    assert response["Location"] == f"/v2/alice/app/blobs/{digest}"
    assert response["Docker-Content-Digest"] == digest
    assert response["Content-Length"] == "0"
    assert content(alice.get(response["Location"])) == body


def test_a_post_leaves_no_session(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    assert not Upload.objects.exists()


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 32, "nonsense", "sha256%3A%00"])
def test_a_post_with_a_malformed_digest_is_400(alice: Caller, digest: str) -> None:
    response = alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest}", BYTES)

    assert response.status_code == 400
    assert error_codes(response) == ["DIGEST_INVALID"]
    assert not Upload.objects.exists()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_post_with_another_digest_is_400_and_leaves_only_trash(alice: Caller, *, chunked: bool) -> None:
    response = alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest_of(b'other')}", BYTES, chunked=chunked)

    assert response.status_code == 400
    assert response.json()["errors"][0]["detail"] == {"expected": digest_of(b"other"), "actual": digest_of(BYTES)}
    assert not Upload.objects.exists()
    assert not Blob.objects.exists()
    assert Trash.objects.count() == 1


def test_a_post_that_breaks_off_leaves_no_session_that_nobody_knows(alice: Caller) -> None:
    response = alice.post(
        f"/v2/alice/app/blobs/uploads/?digest={digest_of(BYTES)}", BYTES, meta=cut(BYTES[:5], len(BYTES))
    )

    assert response.status_code == 400
    assert error_codes(response) == ["SIZE_INVALID"]
    assert not Upload.objects.exists()
    assert not Blob.objects.exists()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("body", [BYTES, b""])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_put_of_everything_is_201(alice: Caller, algorithm: str, body: bytes, *, chunked: bool) -> None:
    location, digest = start(alice), digest_of(body, algorithm)

    response = finish(alice, location, digest, body, chunked=chunked)

    assert response.status_code == 201
    assert response["Location"] == f"/v2/alice/app/blobs/{digest}"
    assert response["Docker-Content-Digest"] == digest
    assert response["Content-Length"] == "0"
    assert content(alice.get(response["Location"])) == body
    assert not Upload.objects.exists()


def test_the_same_blob_pushed_twice_is_one_object_and_the_second_is_trash(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    key = Blob.objects.get().key

    push_blob(alice, "alice/app", BYTES)

    assert Blob.objects.get().key == key
    assert Link.objects.count() == 1
    assert Trash.objects.count() == 1


def test_the_same_blob_in_two_repositories_is_one_row_with_two_links(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    push_blob(alice, "alice/other", BYTES)

    assert Blob.objects.count() == 1
    assert Link.objects.count() == 2


def test_after_a_push_the_disk_holds_what_the_rows_name(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    assert objects_on(disk) == {Blob.objects.get().key}
    assert broken(disk) == []


def test_a_length_that_is_no_number_is_400(alice: Caller) -> None:
    response = alice.post(
        f"/v2/alice/app/blobs/uploads/?digest={digest_of(BYTES)}", BYTES, meta={"CONTENT_LENGTH": "twelve"}
    )

    assert response.status_code == 400
    assert error_codes(response) == ["SIZE_INVALID"]
