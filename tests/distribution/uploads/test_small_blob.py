"""A short blob is stored without a claim: whoever came between, what is published is what was sent, and is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distribution.models import Blob, Segment, Trash, Upload
from distribution.uploads import small_blob
from tests.caller import Caller, error_codes
from tests.distribution.invariants import broken
from tests.distribution.sessions import at_once, cut, finish, start
from tests.images import digest_of

BYTES = b"short, and all there"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Return a function that lets something happen once, when the object of a short body is stored and not counted."""

    def happen(act: Callable[[], Any]) -> None:
        store = small_blob.store
        acts = [act]

        def store_and_act(*args: Any) -> Any:
            content = store(*args)
            if acts:
                acts.pop()()
            return content

        monkeypatch.setattr(small_blob, "store", store_and_act)

    return happen


def first_key() -> str:
    """Return the key of the one session's first object."""
    return Segment.objects.get(size=None).key


def is_served(alice: Caller) -> bool:
    """Return whether the blob comes back as it was sent."""
    response = alice.get(f"/v2/alice/app/blobs/{digest_of(BYTES)}")
    return response.status_code == 200 and b"".join(response) == BYTES


def test_the_object_that_was_named_with_the_session_becomes_the_blob(disk: Path, alice: Caller) -> None:
    location = start(alice)
    key = first_key()

    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201

    assert Blob.objects.get().key == key
    assert not Upload.objects.exists()
    assert not Trash.objects.exists()
    assert is_served(alice)
    assert broken(disk) == []


def test_of_two_that_overlap_one_is_published(
    disk: Path, alice: Caller, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    """The other is told so too: as if it were the same PUT, sent again when its answer got lost."""
    location = start(alice)
    begun = first_key()
    answers: list[int] = []
    meanwhile(lambda: answers.append(finish(alice, location, digest_of(BYTES), BYTES).status_code))

    answers.append(finish(alice, location, digest_of(BYTES), BYTES).status_code)

    assert answers == [201, 201]
    assert Blob.objects.get().key != begun
    assert Trash.objects.get().key == begun
    assert is_served(alice)
    assert broken(disk) == []


def test_of_two_at_once_one_is_published(disk: Path, alice: Caller) -> None:
    location = start(alice)

    answers = at_once(*[lambda: finish(alice, location, digest_of(BYTES), BYTES).status_code] * 2)

    # Of two that do not overlap the later one is that of a client whose answer got lost.
    assert min(answers) == 201
    assert max(answers) in (201, 404, 503)
    assert Blob.objects.count() == 1
    assert is_served(alice)
    assert broken(disk) == []


def test_what_a_writer_that_died_began_is_thrown_away(disk: Path, alice: Caller) -> None:
    location = start(alice)
    begun = first_key()
    (disk / begun).write_bytes(BYTES[:5])

    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201

    assert Blob.objects.get().key != begun
    assert Trash.objects.get().key == begun
    assert is_served(alice)
    assert broken(disk) == []


def test_a_chunk_after_a_writer_that_died_is_taken(disk: Path, alice: Caller) -> None:
    location = start(alice)
    begun = first_key()
    (disk / begun).write_bytes(BYTES[:5])

    assert alice.patch(location, BYTES).status_code == 202

    assert finish(alice, location, digest_of(BYTES)).status_code == 201
    assert Trash.objects.get().key == begun
    assert is_served(alice)
    assert broken(disk) == []


def test_of_a_short_body_and_a_chunk_at_once_one_wins(disk: Path, alice: Caller) -> None:
    location = start(alice)

    short, chunked = at_once(
        lambda: finish(alice, location, digest_of(BYTES), BYTES).status_code,
        lambda: alice.patch(location, BYTES).status_code,
    )

    assert (short == 201) or (chunked == 202)
    # Of a PUT that comes after the chunk the bytes are added to it, and have another digest.
    assert short in (201, 400, 404, 416, 503)
    assert chunked in (202, 404, 416, 503)
    assert broken(disk) == []


def test_what_a_later_claim_threw_away_is_not_published(
    disk: Path, alice: Caller, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    """A chunk claims the session, fails, and lets it go: its object waits for the reaper."""
    location = start(alice)
    key = first_key()
    meanwhile(lambda: alice.patch(location, b"x", meta=cut(b"another", 200)))

    refused = finish(alice, location, digest_of(BYTES), BYTES)

    assert (refused.status_code, error_codes(refused)) == (503, ["UNAVAILABLE"])
    assert Trash.objects.filter(key=key).exists()
    assert not Blob.objects.exists()
    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201
    assert is_served(alice)
    assert broken(disk) == []


def test_a_session_that_was_cancelled_meanwhile_publishes_nothing(
    disk: Path, alice: Caller, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    location = start(alice)
    meanwhile(lambda: alice.delete(location))

    refused = finish(alice, location, digest_of(BYTES), BYTES)

    assert (refused.status_code, error_codes(refused)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert not Blob.objects.exists()
    assert broken(disk) == []


def test_one_that_ends_early_leaves_the_session_as_it_was(disk: Path, alice: Caller) -> None:
    location = start(alice)

    refused = finish(alice, location, digest_of(BYTES), b"x", meta=cut(BYTES[:5], len(BYTES)))

    assert (refused.status_code, error_codes(refused)) == (400, ["SIZE_INVALID"])
    assert not Trash.objects.exists()
    assert finish(alice, location, digest_of(BYTES), BYTES).status_code == 201
    assert broken(disk) == []


def test_another_digest_ends_the_session(disk: Path, alice: Caller) -> None:
    location = start(alice)

    refused = finish(alice, location, digest_of(b"something else"), BYTES)

    assert (refused.status_code, error_codes(refused)) == (400, ["DIGEST_INVALID"])
    assert alice.get(location).status_code == 404
    assert not Blob.objects.exists()
    assert broken(disk) == []
