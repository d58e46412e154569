"""What an upload may become, decided before its body and while it comes: by half of the reserve, by `max_blob_size`."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from configuration.values import Reserve
from core.db import transactions
from distribution.models import Repository, Segment, Trash, Upload
from distribution.uploads import sessions
from tests.caller import Caller, Response, error_codes
from tests.distribution.invariants import broken, objects_on
from tests.distribution.sessions import chunk, finish, start
from tests.distribution.storage.test_disk_reserve import BLOCK, FREE, Reserving, reserving  # noqa: F401 - a fixture
from tests.images import digest_of, push_blob, push_image, put_manifest

SHORT, LONG = b"bytes", bytes(100_000)
POST = "/v2/alice/app/blobs/uploads/?digest="

Change = Callable[[], None]
Shape = Callable[[Caller, Change], Response]


def a_chunk(alice: Caller, change: Change) -> Response:
    location = start(alice)
    change()
    return alice.patch(location, LONG)


def a_chunk_of_unknown_length(alice: Caller, change: Change) -> Response:
    location = start(alice)
    change()
    return alice.patch(location, LONG, chunked=True)


def a_chunk_at_its_place(alice: Caller, change: Change) -> Response:
    location = start(alice)
    change()
    return chunk(alice, location, LONG, 0)


def another_chunk(alice: Caller, change: Change) -> Response:
    location = start(alice)
    alice.patch(location, SHORT)
    change()
    return alice.patch(location, LONG)


def a_short_body(alice: Caller, change: Change) -> Response:
    location = start(alice)
    change()
    return finish(alice, location, digest_of(SHORT), SHORT)


def a_long_body(alice: Caller, change: Change) -> Response:
    location = start(alice)
    change()
    return finish(alice, location, digest_of(LONG), LONG)


def the_last_chunk(alice: Caller, change: Change) -> Response:
    location = start(alice)
    alice.patch(location, SHORT)
    change()
    return finish(alice, location, digest_of(SHORT + LONG), LONG, chunked=True)


def one_post(alice: Caller, change: Change) -> Response:
    change()
    return alice.post(POST + digest_of(LONG), LONG)


def one_post_of_unknown_length(alice: Caller, change: Change) -> Response:
    change()
    return alice.post(POST + digest_of(LONG), LONG, chunked=True)


def a_copy_of_sealed_bytes(alice: Caller, change: Change) -> Response:
    location = start(alice)
    alice.patch(location, LONG)
    Segment.objects.update(is_sealed=True)
    change()
    return finish(alice, location, digest_of(LONG))


SHAPES: list[Shape] = [
    *(a_chunk, a_chunk_of_unknown_length, a_chunk_at_its_place, another_chunk, a_short_body, a_long_body),
    *(the_last_chunk, one_post, one_post_of_unknown_length, a_copy_of_sealed_bytes),
]


@pytest.fixture
def run_out(reserving: Reserving) -> Change:  # noqa: F811 - as above
    """Let less be free from now on than half of what is kept."""
    return lambda: reserving(Reserve(2 * (FREE * BLOCK + 1), None))


@pytest.fixture
def limit_blob_size(settings: Settings) -> Callable[[int], None]:
    """Let a blob have at most so many bytes."""

    def limit_blob_size(size: int) -> None:
        section = replace(settings.REGISTRY.storage, max_blob_size=size)
        settings.REGISTRY = replace(settings.REGISTRY, storage=section)

    return limit_blob_size


def nothing_is_left(disk: Path) -> bool:
    """Tell whether a session ended, and neither its bytes nor its repository are there; the trash looks once more."""
    assert broken(disk) == []
    return not (objects_on(disk) or Upload.objects.exists() or Segment.objects.exists() or Repository.objects.exists())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_write_below_half_of_the_reserve_is_refused_and_gives_its_bytes_back(
    disk: Path, alice: Caller, run_out: Change, shape: Shape
) -> None:
    response = shape(alice, run_out)

    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    assert nothing_is_left(disk)


def test_the_refusal_of_a_write_has_the_numbers(disk: Path, alice: Caller, run_out: Change) -> None:
    (error,) = json.loads(a_chunk(alice, run_out).content)["errors"]

    assert error["message"] == (
        "the disk of the registry is full: 39.1 MiB free, 39.1 MiB kept free by half of storage.min_free"
    )
    assert (error["detail"]["free_bytes"], error["detail"]["reserve_bytes"]) == (FREE * BLOCK, FREE * BLOCK + 1)
    assert "garbage collector" in error["detail"]["reason"]


def test_a_body_that_would_pass_the_mark_is_refused_before_it_comes(
    disk: Path,
    alice: Caller,
    reserving: Reserving,  # noqa: F811 - as above
) -> None:
    location = start(alice)
    reserving(Reserve(FREE * BLOCK, None))

    response = alice.patch(location, headers={"Expect": "100-continue"}, meta=announced(FREE * BLOCK // 2 + 1))

    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    assert nothing_is_left(disk)


class Unread(io.RawIOBase):
    """A body that nobody may read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")


def announced(size: int) -> dict[str, object]:
    """Return what the server says of a client that waits for 100 Continue with so many bytes."""
    return {"wsgi.input": Unread(), "CONTENT_LENGTH": str(size)}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the disk of another database is its own")
def test_below_half_of_the_reserve_nothing_is_stored_that_takes_rows(alice: Caller, run_out: Change) -> None:
    image = push_image(alice, "alice/app", "v1")
    digest = push_blob(alice, "alice/other", b"bytes")
    run_out()

    put = put_manifest(alice, "alice/app", "v2", image.payload)
    mounted = alice.post(
        f"/v2/alice/new/blobs/uploads/?mount={digest}&from=alice/other",
        scopes=["repository:alice/new:pull,push", "repository:alice/other:pull"],
    )

    for response in (put, mounted):
        assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    assert not Repository.objects.filter(name="alice/new").exists()


def test_reads_cancels_and_deletions_go_on_below_half_of_the_reserve(alice: Caller, run_out: Change) -> None:
    image = push_image(alice, "alice/app", "v1")
    location = start(alice)
    run_out()

    assert alice.get("/v2/alice/app/manifests/v1").content == image.payload
    assert alice.delete(location).status_code == 204
    assert alice.delete(f"/v2/alice/app/manifests/{image.digest}").status_code == 202
    assert alice.delete(f"/v2/alice/app/blobs/{image.layers[0]}").status_code == 202


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape is not a_copy_of_sealed_bytes])
def test_a_blob_that_gets_too_large_is_413_and_gives_its_bytes_back(
    disk: Path, alice: Caller, limit_blob_size: Callable[[int], None], shape: Shape
) -> None:
    largest = len(SHORT) - 1 if shape is a_short_body else len(LONG) - 1
    response = shape(alice, lambda: limit_blob_size(largest))

    assert (response.status_code, error_codes(response)) == (413, ["SIZE_INVALID"])
    assert nothing_is_left(disk)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_blob_of_the_very_size_is_taken(
    disk: Path, alice: Caller, limit_blob_size: Callable[[int], None], shape: Shape
) -> None:
    response = shape(alice, lambda: limit_blob_size(len(SHORT) + len(LONG)))

    assert response.status_code in (201, 202)


def test_the_sum_of_all_chunks_counts(disk: Path, alice: Caller, limit_blob_size: Callable[[int], None]) -> None:
    limit_blob_size(2 * len(SHORT))
    location = start(alice)

    answers = [alice.patch(location, SHORT, chunked=chunked).status_code for chunked in (False, True, True)]

    assert answers == [202, 202, 413]
    assert nothing_is_left(disk)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_length_that_is_too_large_is_413_before_the_body(
    disk: Path, alice: Caller, limit_blob_size: Callable[[int], None], method: str
) -> None:
    location = f"{start(alice)}?digest={digest_of(LONG)}"
    limit_blob_size(2**30)

    response = alice.send(method, location, headers={"Expect": "100-continue"}, meta=announced(2**30 + 1))

    assert (response.status_code, error_codes(response)) == (413, ["SIZE_INVALID"])
    (error,) = json.loads(response.content)["errors"]
    assert error["message"] == "a blob has at most 1.0 GiB here (storage.max_blob_size)"
    assert error["detail"] == {"limit_bytes": 2**30}
    assert nothing_is_left(disk)


def test_bytes_that_were_published_before_they_could_be_cancelled_stay(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_blob(alice, "alice/app", SHORT)
    (key,) = objects_on(disk)
    # An attempt that found the session, and whose COMMIT was lost before the session was completed.
    monkeypatch.setattr(transactions, "run_removal", lambda *_: {key})

    sessions.cancel(Upload(repository=Repository.objects.get()))

    assert objects_on(disk) == {key}


def test_bytes_of_a_cancelled_session_are_given_back_at_once(disk: Path, alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, LONG)
    (key,) = objects_on(disk)

    alice.delete(location)

    assert nothing_is_left(disk)
    # A writer that was left behind may make it anew until then.
    assert set(Trash.objects.values_list("key", flat=True)) == {key}
