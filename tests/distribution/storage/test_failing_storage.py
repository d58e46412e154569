"""A storage that fails is a 503 that says when to come back; nothing is promised that is not there."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from distribution.models import Blob, Segment, Upload
from distribution.storage.blob_store import BlobStore, new_key
from tests.caller import Caller, Response, content, error_codes
from tests.distribution.invariants import broken, objects_on
from tests.distribution.sessions import finish, start
from tests.images import digest_of, push_blob, push_image, put_manifest

BYTES = b"bytes that matter"
DIGEST = digest_of(BYTES)
URL = f"/v2/alice/app/blobs/{DIGEST}"

Fault = tuple[str, int]
Failing = Callable[[str, int], AbstractContextManager[None]]

FAULTS: list[Fault] = [("write", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.EIO)]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Let a call of the operating system fail on files of the storage: `with failing("fsync", errno.EIO):`."""

    @contextmanager
    def failing(call: str, number: int) -> Iterator[None]:
        real = getattr(os, call)

        def fails(target: int, *args: object) -> object:
            if "/objects/" in str(Path(f"/proc/self/fd/{target}").readlink()):
                raise OSError(number, os.strerror(number))
            return real(target, *args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fails)
            yield

    return failing


def assert_unavailable(response: Response) -> None:
    assert response.status_code == 503
    assert error_codes(response) == ["UNAVAILABLE"]
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_chunk_that_the_disk_refuses_is_503_and_the_session_goes_on(
    disk: Path, alice: Caller, failing: Failing, fault: Fault
) -> None:
    location = start(alice)

    with failing(*fault):
        response = alice.patch(location, BYTES)

    assert_unavailable(response)
    assert objects_on(disk) == set()
    assert alice.get(location)["Range"] == "0-0"
    assert alice.patch(location, BYTES).status_code == 202
    assert finish(alice, location, DIGEST).status_code == 201
    assert broken(disk) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_whole_blob_that_the_disk_refuses_is_503_and_no_row(
    disk: Path, alice: Caller, failing: Failing, fault: Fault
) -> None:
    with failing(*fault):
        response = alice.post(f"/v2/alice/app/blobs/uploads/?digest={DIGEST}", BYTES)

    assert_unavailable(response)
    assert not Blob.objects.exists()
    assert not Upload.objects.exists()
    assert broken(disk) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_an_end_that_the_disk_refuses_is_503_and_can_be_tried_again(
    disk: Path, alice: Caller, failing: Failing, fault: Fault
) -> None:
    location = start(alice)
    alice.patch(location, BYTES[:5])
    alice.patch(location, BYTES[5:])
    # As if somebody else might write to it, who was overtaken: the end copies it.
    Segment.objects.update(is_sealed=True)

    with failing(*fault):
        response = finish(alice, location, DIGEST)

    assert_unavailable(response)
    assert broken(disk) == []
    assert finish(alice, location, DIGEST).status_code == 201
    assert broken(disk) == []


def test_a_segment_that_cannot_be_read_again_is_503(disk: Path, alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, BYTES)
    (disk / Segment.objects.get().key).unlink()

    response = finish(alice, location, digest_of(BYTES, "sha512"))

    assert_unavailable(response)


def lose_object(disk: Path) -> None:
    """Take the bytes of the only blob away."""
    (disk / Blob.objects.get().key).unlink()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_whose_bytes_are_gone_is_503_then_404(disk: Path, alice: Caller, method: str) -> None:
    push_blob(alice, "alice/app", BYTES)
    lose_object(disk)

    first, second = alice.send(method, URL), alice.send(method, URL)

    assert first.status_code == 503
    assert first["Retry-After"]
    assert second.status_code == 404


def test_a_blob_that_is_too_short_is_503_then_404(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    os.truncate(disk / Blob.objects.get().key, 3)

    assert [alice.head(URL).status_code for _ in range(2)] == [503, 404]


def test_the_next_push_heals_a_corrupt_blob_everywhere(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    push_blob(alice, "alice/other", BYTES)
    lose_object(disk)
    alice.head(URL)

    push_blob(alice, "alice/app", BYTES)

    assert content(alice.get(URL)) == BYTES
    assert content(alice.get(URL.replace("app", "other"))) == BYTES
    assert broken(disk) == []


def test_a_push_heals_what_nobody_had_noticed(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    lose_object(disk)

    push_blob(alice, "alice/app", BYTES)

    assert content(alice.get(URL)) == BYTES
    assert broken(disk) == []


def test_a_manifest_with_a_corrupt_blob_is_refused_until_it_is_healed(disk: Path, alice: Caller) -> None:
    image = push_image(alice, "alice/app", "v1", BYTES)
    Blob.objects.filter(digest=DIGEST).update(is_corrupt=True)

    refused = put_manifest(alice, "alice/app", "v2", image.payload)
    push_blob(alice, "alice/app", BYTES)
    taken = put_manifest(alice, "alice/app", "v2", image.payload)

    assert error_codes(refused) == ["MANIFEST_BLOB_UNKNOWN"]
    assert taken.status_code == 201


def test_a_storage_that_is_not_mounted_is_503_and_forgets_nothing(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    (disk / "objects").rename(disk / "away")

    responses = [alice.get(URL), alice.head(URL), alice.post("/v2/alice/app/blobs/uploads/?digest=" + DIGEST, BYTES)]

    for response in responses:
        assert response.status_code == 503
        assert response["Retry-After"]
    (disk / "away").rename(disk / "objects")
    assert content(alice.get(URL)) == BYTES


def test_a_storage_that_answers_with_nonsense_is_503(disk: Path, alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)
    shutil.rmtree(disk / "objects")
    (disk / "objects").write_text("no folder")

    assert_unavailable(alice.get(URL))


def test_a_manifest_does_not_need_the_storage(disk: Path, alice: Caller) -> None:
    image = push_image(alice, "alice/app", "v1", BYTES)
    shutil.rmtree(disk / "objects")

    assert alice.get("/v2/alice/app/manifests/v1").content == image.payload


def test_no_key_is_made_twice() -> None:
    keys = {new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert all(key.startswith(f"objects/{key[11:13]}/") for key in keys)


@pytest.fixture
def _pool(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let connections come from a pool, as in a server on PostgreSQL."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's connections are nobody else's")
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict["OPTIONS"], "pool", {"min_size": 0, "max_size": 1})
        yield
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL has it


@pytest.mark.usefixtures("_pool")
def test_a_storage_that_is_slow_keeps_no_connection_to_the_database(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_blob(alice, "alice/app", BYTES)
    location = start(alice)
    alice.patch(location, b"more bytes")
    kept: list[bool] = []
    size = BlobStore.size

    def slow_size(store: BlobStore, key: str) -> int:
        kept.append(connection.connection is not None)
        return size(store, key)

    monkeypatch.setattr(BlobStore, "size", slow_size)

    alice.head(URL)
    scopes = ["repository:alice/other:pull,push", "repository:alice/app:pull"]
    alice.post(f"/v2/alice/other/blobs/uploads/?mount={DIGEST}&from=alice/app", scopes=scopes)
    finish(alice, location, digest_of(b"more bytes"))
    push_blob(alice, "alice/app", BYTES)

    assert kept == [False] * 4
