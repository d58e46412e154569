"""One request at a time writes to an upload; a writer that died is succeeded."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connections
from django.test import Client
from django.utils.timezone import now

from core.db import transactions
from distribution.models import Blob, Segment, Trash, Upload
from distribution.uploads import chunks, leases
from tests.caller import Caller, Response, content, error_codes
from tests.distribution.invariants import broken
from tests.distribution.sessions import SESSION_HEADERS, Interrupted, at_once, claimed, finish, start
from tests.images import digest_of


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("place", [{}, {"Content-Range": "0-0"}])
def test_while_somebody_writes_another_is_503_and_told_to_come_again(
    alice: Caller, method: str, place: dict[str, str]
) -> None:
    location = start(alice)
    claimed(seconds=60)

    response = alice.send(method, f"{location}?digest={digest_of(b'x')}", b"x", headers=place)

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])
    assert int(response["Retry-After"]) <= leases.LEASE.total_seconds()


def test_while_somebody_writes_a_chunk_for_another_place_is_416_with_the_right_one(alice: Caller) -> None:
    location = start(alice)
    claimed(seconds=60)

    response = alice.patch(location, b"x", headers={"Content-Range": "5-5"})

    assert (response.status_code, error_codes(response)) == (416, ["RANGE_INVALID"])
    assert set(SESSION_HEADERS) <= set(response.headers)


def test_a_writer_that_died_is_succeeded_and_its_segment_goes_to_trash(alice: Caller) -> None:
    location = start(alice)
    claimed(seconds=-1)
    left = set(Segment.objects.values_list("key", flat=True))

    response = alice.patch(location, b"bytes")

    assert response.status_code == 202
    assert left
    assert set(Trash.objects.values_list("key", flat=True)) == left
    assert finish(alice, location, digest_of(b"bytes")).status_code == 201


def test_after_a_chunk_the_upload_is_free(alice: Caller) -> None:
    alice.patch(start(alice), b"bytes")

    upload = Upload.objects.get()
    assert upload.lease is None
    assert upload.leased_until is None


def test_a_writer_that_was_succeeded_is_416_and_what_it_wrote_is_trash(alice: Caller) -> None:
    location = start(alice)

    def take_over() -> None:
        Upload.objects.update(leased_until=now() - timedelta(seconds=1))
        assert alice.patch(location, b"the other's").status_code == 202

    body = Interrupted(b"mine, ", take_over, b"too late")
    response = alice.patch(location, meta={"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"})

    assert response.status_code == 416
    assert response["Range"] == "0-10"
    assert Trash.objects.count() == 1
    assert finish(alice, location, digest_of(b"the other's")).status_code == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_session_cancelled_while_somebody_writes_is_404(alice: Caller, method: str) -> None:
    location = start(alice)
    body = Interrupted(b"mine", lambda: alice.delete(location), b"too late")

    response = alice.send(
        method,
        f"{location}?digest={digest_of(b'minetoo late')}",
        meta={"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"},
    )

    assert response.status_code == 404
    assert error_codes(response) == ["BLOB_UPLOAD_UNKNOWN"]
    assert not Blob.objects.exists()
    assert Trash.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("before", [b"", b"the first chunk"])
def test_of_eight_chunks_for_one_place_exactly_one_wins(disk: Path, alice: Caller, before: bytes) -> None:
    location, first = start(alice), len(before)
    if before:
        alice.patch(location, before)
    token = alice.token("repository:alice/app:pull,push,delete")

    def patch() -> object:
        caller = Caller(Client(), alice.name, alice.password)
        return caller.patch(location, b"12345", token=token, headers={"Content-Range": f"{first}-{first + 4}"})

    responses = at_once(*[patch] * 8)

    codes = sorted(response.status_code for response in responses)
    assert codes[0] == 202
    # While the one writes the others are told to come again, afterwards where to go on.
    assert set(codes[1:]) <= {416, 503}
    assert finish(alice, location, digest_of(before + b"12345")).status_code == 201
    assert broken(disk) == []


def test_an_end_that_died_while_it_joined_chunks_is_succeeded_and_its_object_goes_to_trash(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"one")
    alice.patch(location, b"two")
    Upload.objects.update(assembly_key="objects/00/left")

    response = finish(alice, location, digest_of(b"onetwo"))

    assert response.status_code == 201
    assert Trash.objects.filter(key="objects/00/left").exists()


def test_joining_chunks_while_somebody_writes_is_503(alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, b"one")
    alice.patch(location, b"two")
    claimed(seconds=60)

    response = finish(alice, location, digest_of(b"onetwo"))

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])


def chunked(body: Interrupted) -> dict[str, object]:
    """Return what the server says of a body without a length."""
    return {"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"}


def test_bytes_whose_segment_went_are_503_and_the_offset_stays(disk: Path, alice: Caller) -> None:
    location = start(alice)
    body = Interrupted(b"mine, ", lambda: Segment.objects.all().delete(), b"and lost")

    response = alice.patch(location, meta=chunked(body))

    assert response.status_code == 503
    assert Upload.objects.get().offset == 0
    assert alice.patch(location, b"again").status_code == 202
    assert finish(alice, location, digest_of(b"again")).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_writer_whose_claim_the_database_forgot_takes_nothing_from_the_next(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location, token = start(alice), alice.token("repository:alice/app:pull,push,delete")
    is_claimed, may_write = Event(), Event()

    def stand_still(name: str) -> None:
        if name == "upload.after_claim" and not is_claimed.is_set():
            is_claimed.set()
            may_write.wait(60)

    def write_late() -> Response:
        try:
            return Caller(Client(), alice.name, alice.password).patch(location, b"late", token=token)
        finally:
            connections.close_all()

    monkeypatch.setattr(chunks, "failpoint", stand_still)
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(write_late)
        assert is_claimed.wait(60)
        # What a crash of PostgreSQL undoes, since no disk was waited for.
        Upload.objects.update(lease=None, leased_until=None)

        def go_on() -> None:
            may_write.set()
            late.result()

        taken = alice.patch(location, meta=chunked(Interrupted(b"what ", go_on, b"counts")))

    assert (late.result().status_code, taken.status_code) == (503, 202)
    assert finish(alice, location, digest_of(b"what counts")).status_code == 201
    assert content(alice.get(f"/v2/alice/app/blobs/{digest_of(b'what counts')}")) == b"what counts"
    assert broken(disk) == []


def test_a_claim_is_durable_where_a_write_replaces_an_object(
    cloud: InMemoryStorage, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location, token = start(alice), alice.token("repository:alice/app:pull,push")
    monkeypatch.delattr(transactions, "run_volatile")

    assert alice.patch(location, b"bytes", token=token).status_code == 202
