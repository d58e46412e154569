"""A disk with less space free than `storage.min_free` keeps: uploads do not begin, all else goes on."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connection
from pytest_django import Settings

from configuration.values import Reserve
from core.db import ballast
from distribution.models import Repository, Trash, Upload
from distribution.storage import disk_reserve
from distribution.storage.blob_store import BlobStore
from tests.caller import Caller, content, error_codes
from tests.collector.runs import collect, pass_time
from tests.distribution.sessions import finish, start
from tests.images import digest_of, push_blob, push_image, put_manifest

UPLOADS = "/v2/alice/app/blobs/uploads/"
BLOCK = 4096
# An eighth of it is more than SQLite's ballast, which is a mark too.
FREE, TOTAL = 10_000, 100_000

Reserving = Callable[[Reserve], None]


@pytest.fixture
def reserving(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Reserving:
    """Have a disk of TOTAL blocks with FREE of them free, and keep a reserve of it: `reserving(Reserve(2**30))`."""

    def statvfs(path: str) -> SimpleNamespace:
        return SimpleNamespace(f_frsize=BLOCK, f_blocks=TOTAL, f_bavail=FREE)

    def keep(kept: Reserve) -> None:
        monkeypatch.setattr(os, "statvfs", statvfs)
        monkeypatch.setattr(disk_reserve, "_unlooked", disk_reserve._Unlooked())
        section = replace(settings.REGISTRY.storage, min_free=kept)
        settings.REGISTRY = replace(settings.REGISTRY, storage=section)

    return keep


@pytest.fixture
def fill(reserving: Reserving) -> Callable[[], None]:
    """Let the disk be full from now on."""
    return lambda: reserving(Reserve(FREE * BLOCK + 1, None))


@pytest.mark.parametrize("query", ["", f"?digest={digest_of(b'bytes')}", f"?mount={digest_of(b'x')}&from=alice/a"])
def test_an_upload_does_not_begin_on_a_full_disk(alice: Caller, fill: Callable[[], None], query: str) -> None:
    fill()

    response = alice.post(UPLOADS + query, b"bytes")

    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    assert not Upload.objects.exists()
    assert not Repository.objects.exists()


def test_the_refusal_says_how_much_is_free_and_what_to_do(alice: Caller, fill: Callable[[], None]) -> None:
    fill()

    (error,) = json.loads(alice.post(UPLOADS).content)["errors"]

    assert error["message"] == "the disk of the registry is full: 39.1 MiB free, 39.1 MiB kept free by storage.min_free"
    assert error["detail"]["free_bytes"] == FREE * BLOCK
    assert error["detail"]["reserve_bytes"] == FREE * BLOCK + 1
    assert "storage.min_free" in error["detail"]["reason"]
    assert "garbage collector" in error["detail"]["reason"]


def test_an_upload_that_has_begun_is_finished_on_a_full_disk(alice: Caller, fill: Callable[[], None]) -> None:
    location = start(alice)
    fill()

    assert alice.patch(location, b"bytes").status_code == 202
    assert finish(alice, location, digest_of(b"bytes")).status_code == 201


def test_a_mount_needs_no_space(alice: Caller, fill: Callable[[], None]) -> None:
    digest = push_blob(alice, "alice/other", b"bytes")
    scopes = ["repository:alice/app:pull,push", "repository:alice/other:pull"]
    fill()

    assert alice.post(f"{UPLOADS}?mount={digest}&from=alice/other", scopes=scopes).status_code == 201


def test_reads_and_deletions_go_on(alice: Caller, fill: Callable[[], None]) -> None:
    image = push_image(alice, "alice/app", "v1")
    fill()

    assert alice.get("/v2/alice/app/manifests/v1").content == image.payload
    assert content(alice.get(f"/v2/alice/app/blobs/{image.layers[0]}")) == b"a layer"
    assert put_manifest(alice, "alice/app", "v2", image.payload).status_code == 201
    assert alice.delete(f"/v2/alice/app/manifests/{image.digest}").status_code == 202


def test_collection_makes_space_on_a_full_disk(disk: Path, alice: Caller, fill: Callable[[], None]) -> None:
    push_blob(alice, "alice/app", b"bytes")
    pass_time()
    fill()

    report = collect()

    assert report.total.blobs == 1
    assert Trash.objects.count() == 1


@pytest.mark.parametrize(
    ("kept", "is_refused"),
    [
        (Reserve(FREE * BLOCK, None), False),
        (Reserve(None, Fraction(1, 10)), False),
        (Reserve(None, Fraction(11, 100)), True),
        (Reserve(2**30, Fraction(1, 20)), False),
        (Reserve(FREE * BLOCK + 1, Fraction(1, 2)), True),
        (Reserve(0, None), False),
    ],
)
def test_the_smaller_of_size_and_share_is_kept(
    alice: Caller, reserving: Reserving, kept: Reserve, *, is_refused: bool
) -> None:
    reserving(kept)

    assert alice.post(UPLOADS).status_code == (403 if is_refused else 202)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the disk of another database is its own")
def test_the_room_of_the_ballast_is_no_uploads_whatever_min_free_says(
    alice: Caller, reserving: Reserving, monkeypatch: pytest.MonkeyPatch
) -> None:
    location, image = start(alice), push_image(alice, "alice/app", "v1")
    monkeypatch.setattr(ballast, "SIZE", FREE * BLOCK + 1)
    reserving(Reserve(0, None))

    begun, more = alice.post(UPLOADS), alice.patch(location, b"bytes")
    manifest = put_manifest(alice, "alice/app", "v2", image.payload)

    for answer in (begun, more, manifest):
        (error,) = json.loads(answer.content)["errors"]
        assert (answer.status_code, error["code"]) == (403, "DENIED")
        assert "kept free by the database's ballast" in error["message"]
        assert error["detail"]["reserve_bytes"] == FREE * BLOCK + 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the disk of another database is its own")
def test_a_disk_of_blobs_alone_keeps_nothing_for_the_ballast(
    alice: Caller, reserving: Reserving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ballast, "SIZE", FREE * BLOCK + 1)
    monkeypatch.setattr(ballast, "database_file", lambda: "/proc/registry.sqlite3")
    reserving(Reserve(0, None))

    disk_reserve.check_room(1)


def test_a_storage_that_is_gone_is_503_before_any_body(alice: Caller, settings: Settings, tmp_path: Path) -> None:
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path / "gone")}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}

    response = alice.post(UPLOADS)

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])
    assert response["Retry-After"]


def test_a_cloud_storage_has_no_reserve(monkeypatch: pytest.MonkeyPatch, fill: Callable[[], None]) -> None:
    fill()
    monkeypatch.setattr(disk_reserve, "blob_store", lambda: BlobStore(InMemoryStorage()))
    monkeypatch.setattr(disk_reserve, "database_file", lambda: None)

    disk_reserve.check()

    assert disk_reserve.space() is None
