"""An import beside a server: what the collector, a push or a deletion does in the middle of a batch loses nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from distribution.models import Blob, Manifest, Tag, Trash
from registry_copy.importing import rows
from registry_copy.importing.rows import Insertion, Stored
from tests.caller import Caller, content
from tests.collector.conftest import configured  # noqa: F401 - a fixture
from tests.distribution.invariants import broken
from tests.images import digest_of, push_blob, push_image
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import NAME, SourceTree

Import = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("disk")


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen once, after objects are placed and before their rows are stored."""

    def happen(act: Callable[[], Any]) -> None:
        waiting, really_store = [act], rows.store

        def store(insertion: Insertion) -> Stored:
            while waiting:
                waiting.pop()()
            return really_store(insertion)

        monkeypatch.setattr(rows, "store", store)

    return happen


def assert_pulled(alice: Caller, disk: Path, payload: bytes) -> None:
    assert content(alice.get(f"/v2/{NAME}/manifests/v1")) == payload
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'one')}")) == b"one"
    assert broken(disk) == []


@pytest.fixture
def _without_grace(configured: Callable[..., None]) -> None:  # noqa: F811 - a fixture
    configured(grace_period=timedelta(0), remove_untagged=True)


@pytest.mark.usefixtures("_without_grace")
def test_a_collection_without_grace_takes_nothing(
    disk: Path, alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    payload = source.push_image(b"one")
    index = source.push_index(payload, tags=("multi",))
    between(lambda: manage("gc", "--delete-untagged"))

    assert imported().status == 0
    manage("gc", "--delete-untagged")

    assert content(alice.get(f"/v2/{NAME}/manifests/multi")) == index
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'one')}")) == b"one"
    assert broken(disk) == []


def test_a_blob_that_is_removed_meanwhile_is_taken_again(
    disk: Path, alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    push_blob(alice, NAME, b"one")
    payload = source.push_image(b"one", "v1")
    between(lambda: alice.delete(f"/v2/{NAME}/blobs/{digest_of(b'one')}"))

    assert imported().status == 0

    assert_pulled(alice, disk, payload)


def test_what_is_left_out_is_said_when_the_batch_is_repeated(
    alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    push_blob(alice, NAME, b"one")
    source.push_image(b"one")
    broken_digest = source.push_manifest(b"{")
    between(lambda: alice.delete(f"/v2/{NAME}/blobs/{digest_of(b'one')}"))

    ran = imported()

    assert ran.status == 1
    assert f"left out: {NAME}@{broken_digest}: " in ran.output
    assert Blob.objects.filter(digest=digest_of(b"one")).exists()


def test_a_child_that_is_removed_meanwhile_is_taken_again(
    disk: Path, alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    payload = source.push_image(b"one", "v1")
    imported()
    index = source.push_index(payload, tags=("multi",))
    between(lambda: alice.delete(f"/v2/{NAME}/manifests/{digest_of(payload)}"))

    assert imported().status == 0

    assert content(alice.get(f"/v2/{NAME}/manifests/multi")) == index
    assert content(alice.get(f"/v2/{NAME}/manifests/{digest_of(payload)}")) == payload
    assert broken(disk) == []


def test_the_same_image_is_pushed_meanwhile(
    disk: Path, alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    image = push_image(alice, "alice/other", "v1", b"one")
    for digest in (image.config, *image.layers):
        source.push_blob(content(alice.get(f"/v2/alice/other/blobs/{digest}")))
    source.push_manifest(image.payload, "v1")

    between(lambda: push_image(alice, NAME, "v1", b"one"))

    assert imported().status == 0

    assert_pulled(alice, disk, image.payload)
    assert Manifest.objects.count() == 2


def test_objects_that_were_too_long_in_the_trash_are_placed_again(
    disk: Path, alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    payload = source.push_image(b"one", "v1")
    between(lambda: Trash.objects.update(delete_after="2020-01-01T00:00:00Z"))

    assert imported().status == 0

    assert_pulled(alice, disk, payload)
    assert not Blob.objects.filter(key__in=Trash.objects.values("key")).exists()


def test_a_tag_that_is_pushed_meanwhile_stays(
    alice: Caller, source: SourceTree, imported: Import, between: Any
) -> None:
    source.push_image(b"one", "v1")
    between(lambda: push_image(alice, NAME, "v1", b"pushed here"))

    ran = imported()

    assert f"kept: {NAME}:v1: it was moved here later" in ran.output
    assert Tag.objects.get().manifest.blobs.filter(link__blob__digest=digest_of(b"pushed here")).exists()
