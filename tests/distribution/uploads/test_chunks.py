"""`PATCH` of an upload session, and the `PUT` that ends it."""

from pathlib import Path

import pytest
from django.core.files.storage import InMemoryStorage

from distribution.models import Blob, Segment, Trash
from distribution.uploads import chunks
from tests.caller import Caller, content, error_codes
from tests.distribution.invariants import broken, objects_on
from tests.distribution.sessions import chunk, cut, finish, push_in_chunks, start
from tests.images import digest_of

FIRST, SECOND = b"a" * 1024, b"b" * 512


def test_one_chunked_stream_and_an_empty_put_as_docker_does(alice: Caller) -> None:
    location = start(alice)

    patched = alice.patch(location, FIRST, chunked=True)
    response = finish(alice, location, digest_of(FIRST))

    assert patched.status_code == 202
    assert patched["Location"] == location
    assert patched["Range"] == "0-1023"
    assert patched["Docker-Upload-UUID"] == location.rpartition("/")[2]
    assert patched["Content-Length"] == "0"
    assert response.status_code == 201
    assert content(alice.get(response["Location"])) == FIRST


def test_chunks_with_their_places_as_oras_does(alice: Caller) -> None:
    location = start(alice)

    one, two = chunk(alice, location, FIRST, 0), chunk(alice, location, SECOND, 1024)
    response = finish(alice, location, digest_of(FIRST + SECOND))

    assert (one["Range"], two["Range"]) == ("0-1023", "0-1535")
    assert response.status_code == 201
    assert content(alice.get(response["Location"])) == FIRST + SECOND


@pytest.mark.parametrize("place", ["bytes 0-1023/1536", "bytes 0-1023/*", "0-1023"])
def test_a_place_may_be_written_in_the_form_of_http(alice: Caller, place: str) -> None:
    response = alice.patch(start(alice), FIRST, headers={"Content-Range": place})

    assert response.status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
def test_the_last_chunk_may_come_with_the_put(alice: Caller, *, chunked: bool) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = finish(
        alice, location, digest_of(FIRST + SECOND), SECOND, chunked=chunked, headers={"Content-Range": "1024-1535"}
    )

    assert response.status_code == 201
    assert content(alice.get(response["Location"])) == FIRST + SECOND


def test_an_empty_chunked_put_ends_a_session_too(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = finish(alice, location, digest_of(FIRST), b"", chunked=True)

    assert response.status_code == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("pieces", [[b""], [b"", b""], [b"", b"one"], [b"one", b"", b"two"], [b"1", b"2", b"3", b"4"]])
def test_any_number_of_chunks_makes_one_blob(alice: Caller, pieces: list[bytes], algorithm: str) -> None:
    response = push_in_chunks(alice, "alice/app", *pieces, algorithm=algorithm)

    assert response.status_code == 201
    assert content(alice.get(response["Location"])) == b"".join(pieces)
    assert not Segment.objects.exists()


@pytest.mark.parametrize("last", [b"", b"the last chunk"])
@pytest.mark.parametrize("pieces", [[FIRST], [FIRST, SECOND], [FIRST, SECOND, b"three"]])
def test_all_chunks_are_added_to_the_object_that_becomes_the_blob(
    disk: Path, alice: Caller, pieces: list[bytes], last: bytes
) -> None:
    location = start(alice)
    key = Segment.objects.get().key
    for piece in pieces:
        alice.patch(location, piece)

    response = finish(alice, location, digest_of(b"".join(pieces) + last), last)

    assert response.status_code == 201
    assert Blob.objects.get().key == key
    assert objects_on(disk) == {key}
    assert not Trash.objects.exists()
    assert broken(disk) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("pieces", [[FIRST], [FIRST, SECOND], [FIRST, b"", SECOND, b"last"]])
def test_a_storage_that_can_not_append_gets_an_object_for_each_chunk(
    cloud: InMemoryStorage, alice: Caller, pieces: list[bytes], algorithm: str
) -> None:
    response = push_in_chunks(alice, "alice/app", *pieces, algorithm=algorithm)

    blob, chunks = Blob.objects.get(), [piece for piece in pieces if piece]
    assert response.status_code == 201
    assert cloud.open(blob.key).read() == b"".join(pieces)
    # Several are copied into one, an empty one is thrown away.
    assert Trash.objects.count() == (len(pieces) if len(chunks) > 1 else len(pieces) - 1)


def test_ten_thousand_chunks_and_more_are_no_more_than_an_upload_may_have(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 1)

    response = push_in_chunks(alice, "alice/app", b"1", b"2", b"3", b"4")

    assert response.status_code == 201


@pytest.mark.parametrize("first", [0, 1, 1023, 1025, 5000])
def test_a_chunk_out_of_order_is_416_and_says_where_to_go_on(alice: Caller, first: int) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = chunk(alice, location, SECOND, first)

    assert response.status_code == 416
    assert error_codes(response) == ["RANGE_INVALID"]
    assert response["Location"] == location
    assert response["Range"] == "0-1023"
    assert response["Docker-Upload-UUID"] == location.rpartition("/")[2]


def test_a_session_goes_on_after_a_chunk_out_of_order(alice: Caller) -> None:
    location = start(alice)
    chunk(alice, location, SECOND, 5)

    assert chunk(alice, location, FIRST, 0).status_code == 202
    assert finish(alice, location, digest_of(FIRST)).status_code == 201


def test_a_last_chunk_out_of_order_is_416_and_the_session_goes_on(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = finish(alice, location, digest_of(FIRST + SECOND), SECOND, headers={"Content-Range": "0-511"})

    assert response.status_code == 416
    assert response["Range"] == "0-1023"
    assert finish(alice, location, digest_of(FIRST + SECOND), SECOND).status_code == 201


@pytest.mark.parametrize(
    "place", ["", "x", "5", "9-2", "-5", "0-", "bytes=0-5", "0-\u0665", "0-" + "9" * 30, "bytes 0-9/5"]
)
def test_a_place_that_is_none_is_416_and_the_session_goes_on(alice: Caller, place: str) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = alice.patch(location, SECOND, headers={"Content-Range": place})

    assert response.status_code == 416
    assert response["Range"] == "0-1023"
    assert response["Location"] == location


@pytest.mark.parametrize("sent", [b"short", b"c" * 513])
def test_a_chunk_that_is_not_as_long_as_its_place_is_400_and_does_not_count(alice: Caller, sent: bytes) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = alice.patch(location, sent, headers={"Content-Range": "1024-1535"})

    assert response.status_code == 400
    assert error_codes(response) == ["SIZE_INVALID"]
    assert alice.get(location)["Range"] == "0-1023"
    assert finish(alice, location, digest_of(FIRST)).status_code == 201


def test_a_body_that_ends_early_does_not_count(alice: Caller) -> None:
    location = start(alice)

    response = alice.patch(location, b"x", meta=cut(b"x" * 100, 200))

    assert response.status_code == 400
    assert error_codes(response) == ["SIZE_INVALID"]
    assert alice.get(location)["Range"] == "0-0"
    assert Trash.objects.count() == 1


def test_a_long_prefix_of_a_body_that_ends_early_is_kept_for_a_resume(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MIN_PREFIX_BYTES", 100)
    location = start(alice)
    whole = FIRST + SECOND

    alice.patch(location, b"x", meta=cut(FIRST, len(whole)))
    resumed = chunk(alice, location, SECOND, 1024)

    assert resumed.status_code == 202
    assert finish(alice, location, digest_of(whole)).status_code == 201


def test_a_prefix_of_a_chunk_with_a_place_is_kept_too(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MIN_PREFIX_BYTES", 100)
    location = start(alice)

    response = alice.patch(location, b"x", meta=cut(FIRST, 1536), headers={"Content-Range": "0-1535"})

    assert response.status_code == 400
    assert alice.get(location)["Range"] == "0-1023"


def test_a_last_chunk_with_a_place_that_ends_early_is_kept_and_not_published(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MIN_PREFIX_BYTES", 100)
    location = start(alice)

    response = finish(
        alice, location, digest_of(FIRST), b"x", meta=cut(FIRST, 1536), headers={"Content-Range": "0-1535"}
    )

    assert response.status_code == 400
    assert not Blob.objects.exists()
    assert alice.get(location)["Range"] == "0-1023"
    assert finish(alice, location, digest_of(FIRST)).status_code == 201


def test_more_chunks_than_an_upload_may_have_where_each_is_an_object_are_400(
    cloud: InMemoryStorage, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 2)
    location = start(alice)
    alice.patch(location, b"1")
    alice.patch(location, b"2")

    response = alice.patch(location, b"3")

    assert response.status_code == 400
    assert error_codes(response) == ["BLOB_UPLOAD_INVALID"]
    assert finish(alice, location, digest_of(b"12")).status_code == 201


def test_a_chunk_without_bytes_counts_for_nothing(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, FIRST)

    response = alice.patch(location, b"")

    assert response.status_code == 202
    assert response["Range"] == "0-1023"
    assert Segment.objects.count() == 1


def test_a_chunk_to_who_may_only_pull_is_401(alice: Caller, bob: Caller) -> None:
    response = bob.patch(start(alice), FIRST)

    assert response.status_code == 401
