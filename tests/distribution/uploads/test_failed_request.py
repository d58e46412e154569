"""A request that failed gives its session up: the same request, sent again when its 503 says so, is taken."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import OperationalError
from django.utils.timezone import now

from core.api.errors import unavailable
from distribution.models import Blob, Segment, Upload
from tests.caller import Caller, Response, content
from tests.distribution.invariants import broken
from tests.distribution.sessions import finish, start
from tests.images import digest_of

pytestmark = pytest.mark.django_db(transaction=True)

# Longer than a short body, which claims nothing.
BYTES = bytes(range(256)) * 400
BEFORE = b"came before"

FAILURES = [unavailable("busy"), OperationalError("gone")]


def fail(failure: Exception) -> Callable[..., Any]:
    """Return a step that fails."""

    def step(*_args: Any) -> Any:
        raise failure

    return step


def failing(monkeypatch: pytest.MonkeyPatch, step: str, failure: Exception, request: Callable[[], Response]) -> None:
    """Make the request, of which the step fails."""
    with monkeypatch.context() as patch:
        patch.setattr(f"distribution.{step}", fail(failure))
        refused = request()
    assert (refused.status_code, bool(refused["Retry-After"])) == (503, True)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("before", [b"", BEFORE])
@pytest.mark.parametrize("step", ["storage.local._copy", "uploads.chunks.count", "uploads.chunks._count"])
def test_a_chunk_is_taken_when_it_comes_again(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch, *, step: str, before: bytes, failure: Exception
) -> None:
    location = start(alice)
    if before:
        alice.patch(location, before)

    failing(monkeypatch, step, failure, lambda: alice.patch(location, BYTES))

    assert alice.patch(location, BYTES).status_code == 202
    assert finish(alice, location, digest_of(before + BYTES)).status_code == 201
    assert content(alice.get(f"/v2/alice/app/blobs/{digest_of(before + BYTES)}")) == before + BYTES
    assert broken(disk) == []


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("before", [b"", BEFORE])
@pytest.mark.parametrize("step", ["blobs.mark_if_lost", "uploads.sessions._publish", "blobs.publish"])
def test_an_end_is_taken_when_it_comes_again(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch, *, step: str, before: bytes, failure: Exception
) -> None:
    location, digest = start(alice), digest_of(before + BYTES)
    if before:
        alice.patch(location, before)

    failing(monkeypatch, step, failure, lambda: finish(alice, location, digest, BYTES))

    assert finish(alice, location, digest, BYTES).status_code == 201
    assert content(alice.get(f"/v2/alice/app/blobs/{digest}")) == before + BYTES
    assert broken(disk) == []


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    "step", ["storage.blob_store.BlobStore.write", "blobs.mark_if_lost", "uploads.sessions._publish"]
)
def test_an_end_that_copies_is_taken_when_it_comes_again(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch, step: str, failure: Exception
) -> None:
    location = start(alice)
    alice.patch(location, BYTES)
    Segment.objects.update(is_sealed=True)

    failing(monkeypatch, step, failure, lambda: finish(alice, location, digest_of(BYTES)))

    assert finish(alice, location, digest_of(BYTES)).status_code == 201
    assert broken(disk) == []


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("step", ["uploads.chunks._claim", "blobs.mark_if_lost", "uploads.sessions._publish"])
def test_of_a_blob_in_one_request_no_session_is_left(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch, step: str, failure: Exception
) -> None:
    path = f"/v2/alice/app/blobs/uploads/?digest={digest_of(BYTES)}"

    failing(monkeypatch, step, failure, lambda: alice.post(path, BYTES))

    assert not Upload.objects.exists()
    assert alice.post(path, BYTES).status_code == 201
    assert broken(disk) == []


def test_a_chunk_that_a_cloud_stores_under_another_name_is_503_and_taken_when_it_comes_again(
    cloud: InMemoryStorage, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = start(alice)
    with monkeypatch.context() as patch:
        patch.setattr(cloud, "get_available_name", lambda name, **_options: f"{name}_2")
        failed = alice.patch(location, BYTES)

    assert failed.status_code == 503
    assert alice.patch(location, BYTES).status_code == 202
    assert finish(alice, location, digest_of(BYTES)).status_code == 201


def test_a_file_whose_sync_failed_is_free_for_nobody_until_it_is_sealed(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = start(alice)
    alice.patch(location, BEFORE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail(OSError(5, "Input/output error")))
        patch.setattr("distribution.uploads.chunks._abandon", fail(OperationalError("gone")))
        failed = alice.patch(location, BYTES)

    early = alice.patch(location, BYTES)
    Upload.objects.update(leased_until=now() - timedelta(seconds=1))
    taken = alice.patch(location, BYTES)

    assert [failed.status_code, early.status_code, taken.status_code] == [503, 503, 202]
    assert list(Segment.objects.order_by("start").values_list("is_sealed", flat=True)) == [True, False]
    assert finish(alice, location, digest_of(BEFORE + BYTES)).status_code == 201
    assert Blob.objects.get().size == len(BEFORE + BYTES)
