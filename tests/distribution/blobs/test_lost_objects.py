"""A blob whose object the storage has lost: what HEAD and GET say, and when they look."""

import os
from pathlib import Path

import pytest

from distribution import blobs, deferred_writes
from distribution.models import Blob
from distribution.protocol.digest import parse_digest
from distribution.storage.blob_store import BlobStore, blob_store
from distribution.storage.local import DurableFileSystemStorage
from tests.caller import Caller, content
from tests.images import push_blob

BYTES = b"some bytes of a layer"


@pytest.fixture
def url(alice: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Push a blob to a disk; return its URL."""
    store = BlobStore(DurableFileSystemStorage(tmp_path))
    store.prepare()
    digest = push_blob(alice, "alice/app", BYTES)
    with blob_store().open_at(Blob.objects.get().key) as file:
        store.write(Blob.objects.get().key, file)  # type: ignore[arg-type]  # a reader, as an upload's
    monkeypatch.setattr(blobs, "blob_store", lambda: store)
    return f"/v2/alice/app/blobs/{digest}"


def path(tmp_path: Path) -> Path:
    return tmp_path / Blob.objects.get().key


@pytest.mark.django_db(transaction=True)
def test_head_does_not_ask_again_within_a_minute(alice: Caller, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def size(_: BlobStore, key: str) -> int:
        asked.append(key)
        return len(BYTES)

    monkeypatch.setattr(BlobStore, "size", size)

    assert [alice.head(url).status_code for _ in range(3)] == [200, 200, 200]
    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_short", [False, True], ids=["missing", "short"])
def test_get_notices_at_once_what_head_may_miss_for_a_minute(
    alice: Caller, url: str, tmp_path: Path, is_short: bool
) -> None:
    assert content(alice.get(url)) == BYTES
    if is_short:
        os.truncate(path(tmp_path), len(BYTES) - 1)
    else:
        path(tmp_path).unlink()

    assert alice.head(url).status_code == 200
    assert alice.get(url).status_code == 503
    assert alice.head(url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_push_looks_whatever_head_has_said(alice: Caller, url: str, tmp_path: Path) -> None:
    assert alice.head(url).status_code == 200
    path(tmp_path).unlink()

    blobs.mark_if_lost(parse_digest(url.rpartition("/")[2]))

    assert alice.head(url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_loss_is_remembered_while_nothing_can_be_written(
    alice: Caller, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alice.head(url).status_code == 200
    path(tmp_path).unlink()
    monkeypatch.setattr(deferred_writes, "write", lambda *_: None)

    assert alice.get(url).status_code == 503
    assert alice.head(url).status_code == 503
