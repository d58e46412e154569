"""A request that is sent again, since its answer got lost or its line broke, ends well or leaves the session alone."""

import io
from pathlib import Path

import pytest

from distribution.models import Blob, Upload
from distribution.uploads import chunks
from tests.caller import Caller, content, error_codes
from tests.distribution.invariants import broken
from tests.distribution.sessions import SESSION_HEADERS, chunk, claimed, cut, finish, start
from tests.images import digest_of, push_blob

# Longer than a short body, or than any prefix that is kept.
KIB_100 = bytes(range(256)) * 400
BODIES = [b"a short body", KIB_100]
MORE = b" and more"


@pytest.fixture(autouse=True)
def _keeps_short_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MIN_PREFIX_BYTES", 4)


def read(alice: Caller, expected: bytes) -> bytes:
    """Return the blob."""
    return content(alice.get(f"/v2/alice/app/blobs/{digest_of(expected)}"))


class Broken(io.BytesIO):
    """A chunked body whose connection breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece:
            raise ConnectionResetError
        return piece


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("before", [b"", b"came by a PATCH"])
@pytest.mark.parametrize("body", BODIES)
def test_a_put_that_was_cut_is_sent_again_whole(
    disk: Path, alice: Caller, body: bytes, before: bytes, *, chunked: bool
) -> None:
    location, digest = start(alice), digest_of(before + body)
    if before:
        alice.patch(location, before)
    stood = alice.get(location)["Range"]

    for _ in range(2):
        meta = cut(body[:-3], len(body)) if not chunked else {"wsgi.input": Broken(body[:-3])}
        options = {"meta": meta | ({"HTTP_TRANSFER_ENCODING": "chunked"} if chunked else {})}
        assert finish(alice, location, digest, b"x", **options).status_code == 400
        assert alice.get(location)["Range"] == stood

    assert finish(alice, location, digest, body, chunked=chunked).status_code == 201
    assert read(alice, before + body) == before + body
    assert broken(disk) == []


@pytest.mark.parametrize("pieces", [[KIB_100], [KIB_100, MORE], [MORE, KIB_100, MORE]])
def test_a_chunk_with_a_place_that_comes_again_is_416_and_the_session_goes_on(
    disk: Path, alice: Caller, pieces: list[bytes]
) -> None:
    """The conformance suite wants it so: the client learns where to go on."""
    location, at = start(alice), 0
    for piece in pieces:
        assert chunk(alice, location, piece, at).status_code == 202
        again = chunk(alice, location, piece, at)
        at += len(piece)

        assert (again.status_code, error_codes(again)) == (416, ["RANGE_INVALID"])
        assert set(SESSION_HEADERS) <= set(again.headers)
        assert again["Range"] == f"0-{at - 1}"

    assert finish(alice, location, digest_of(b"".join(pieces))).status_code == 201
    assert broken(disk) == []


@pytest.mark.parametrize("storage", ["disk", "cloud"])
@pytest.mark.parametrize("pieces", [[KIB_100], [MORE, KIB_100]])
def test_a_last_chunk_without_a_place_that_came_twice_counts_once(
    request: pytest.FixtureRequest, storage: str, alice: Caller, pieces: list[bytes]
) -> None:
    request.getfixturevalue(storage)
    location, whole = start(alice), b"".join(pieces)
    for piece in [*pieces, pieces[-1]]:
        assert alice.patch(location, piece).status_code == 202

    response = finish(alice, location, digest_of(whole))

    assert response.status_code == 201
    assert Blob.objects.get().size == len(whole)
    if storage == "disk":
        assert read(alice, whole) == whole


@pytest.mark.parametrize("storage", ["disk", "cloud"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_whole_body_behind_a_beginning_that_was_kept_is_taken_alone(
    request: pytest.FixtureRequest, storage: str, alice: Caller, method: str
) -> None:
    request.getfixturevalue(storage)
    location = start(alice)
    assert alice.patch(location, b"x", meta=cut(KIB_100[:5000], len(KIB_100))).status_code == 400
    assert alice.get(location)["Range"] == "0-4999"
    if method == "PATCH":
        alice.patch(location, KIB_100)

    response = finish(alice, location, digest_of(KIB_100), KIB_100 if method == "PUT" else b"")

    assert response.status_code == 201
    assert Blob.objects.get().size == len(KIB_100)
    if storage == "disk":
        assert read(alice, KIB_100) == KIB_100


@pytest.mark.parametrize("last", [b"", KIB_100])
def test_bytes_that_are_in_no_way_what_was_asked_are_400_and_end_the_session(
    disk: Path, alice: Caller, last: bytes
) -> None:
    location = start(alice)
    for _ in range(3):
        alice.patch(location, MORE)

    response = finish(alice, location, digest_of(b"another"), last)

    assert (response.status_code, error_codes(response)) == (400, ["DIGEST_INVALID"])
    assert response.json()["errors"][0]["detail"]["actual"] == digest_of(MORE * 3 + last)
    assert alice.get(location).status_code == 404
    assert not Blob.objects.exists()
    assert broken(disk) == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", BODIES)
def test_a_closing_put_whose_answer_got_lost_is_201_again(
    disk: Path, alice: Caller, body: bytes, *, chunked: bool
) -> None:
    location = start(alice)
    first = finish(alice, location, digest_of(body), body)

    again = finish(alice, location, digest_of(body), body, chunked=chunked)

    assert (first.status_code, again.status_code) == (201, 201)
    assert [again[name] for name in ("Location", "Docker-Content-Digest")] == [
        first[name] for name in ("Location", "Docker-Content-Digest")
    ]
    assert broken(disk) == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", [b"", b"other bytes", b"a short bod"])
def test_a_session_that_is_gone_is_404_to_who_does_not_bring_the_bytes(
    alice: Caller, body: bytes, *, chunked: bool
) -> None:
    push_blob(alice, "alice/app", b"a short body")
    push_blob(alice, "alice/app", b"")
    location = start(alice)
    alice.delete(location)

    for expected in (b"a short body", b""):
        response = finish(alice, location, digest_of(expected), body, chunked=chunked)

        assert (response.status_code, error_codes(response)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_a_session_that_is_gone_is_404_when_the_blob_is_in_another_repository(alice: Caller) -> None:
    push_blob(alice, "alice/other", b"a short body")
    location = start(alice)
    alice.delete(location)

    assert finish(alice, location, digest_of(b"a short body"), b"a short body").status_code == 404


def test_a_session_that_is_gone_is_404_to_a_body_that_is_cut(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"a short body")
    location = start(alice)
    alice.delete(location)

    response = finish(alice, location, digest_of(b"a short body"), b"x", meta=cut(b"a short body", 13))

    assert response.status_code == 404


def test_a_session_that_is_gone_is_404_when_the_blob_has_lost_its_bytes(disk: Path, alice: Caller) -> None:
    """So the client begins anew, which heals the blob."""
    push_blob(alice, "alice/app", b"a short body")
    location = start(alice)
    alice.delete(location)
    (disk / Blob.objects.get().key).unlink()

    assert finish(alice, location, digest_of(b"a short body"), b"a short body").status_code == 404


def test_an_end_while_a_chunk_is_being_written_leaves_the_session_whatever_its_digest(alice: Caller) -> None:
    """A client whose line broke asks for the end while the server still waits for its last bytes."""
    location = start(alice)
    alice.patch(location, MORE)
    claimed(seconds=60)

    response = finish(alice, location, digest_of(MORE + KIB_100))

    assert response.status_code == 503
    assert Upload.objects.exists()
