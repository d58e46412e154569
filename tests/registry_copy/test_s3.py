"""The same from a bucket: SeaweedFS copies from one bucket into another, and nothing passes through here."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from distribution.models import Blob, Manifest, Tag
from tests.caller import Caller, content
from tests.images import digest_of, manifest
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import NAME, SourceTree
from tests.s3.servers import S3Server, SeaweedFS, running

MEBIBYTE = 1024 * 1024

Upload = Callable[..., str]


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))) as server:
        yield server


@pytest.fixture
def own(seaweedfs: S3Server, settings: Settings, request: pytest.FixtureRequest) -> str:
    """Keep this test's objects in a bucket, which is returned. Ask for it before the cast."""
    bucket = seaweedfs.make_bucket(f"own-{abs(hash(request.node.name))}")
    options = seaweedfs.options(bucket) | {"redirect": False, "public_endpoint": None}
    backend = {"BACKEND": "distribution.storage.s3.RegistryS3Storage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"blobs": backend}
    return bucket


@pytest.fixture
def uploaded(seaweedfs: S3Server, source: SourceTree, request: pytest.FixtureRequest) -> Upload:
    """Put the source into a bucket, below a prefix, and return its address."""
    bucket = seaweedfs.make_bucket(f"theirs-{abs(hash(request.node.name))}")

    def upload(prefix: str = "some/prefix/") -> str:
        for path in source.root.rglob("*"):
            if path.is_file():
                key = f"{prefix}{path.relative_to(source.root)}"
                seaweedfs.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return f"s3://{bucket}/{prefix}"

    return upload


def imported(address: str, *words: str) -> Ran:
    return manage("importregistry", address, *words)


def test_a_bucket_is_imported(
    own: str, alice: Caller, source: SourceTree, uploaded: Upload, seaweedfs: S3Server
) -> None:
    one, other = source.push_image(b"one", "v1"), source.push_image(b"other", name="alice/other")
    index = source.push_index(one, tags=("multi",))
    source.push_blob(b"", name="alice/empty")
    address = uploaded()

    ran = imported(address, "--verify")

    assert ran.status == 0, ran.output
    assert "3 manifests, 2 new tags, 0 moved tags, 5 blobs" in ran.output
    for name, reference, payload in (
        (NAME, "v1", one),
        (NAME, "multi", index),
        ("alice/other", digest_of(other), other),
    ):
        assert content(alice.get(f"/v2/{name}/manifests/{reference}")) == payload
    for name, blob in ((NAME, b"one"), ("alice/other", b"other"), ("alice/empty", b"")):
        assert content(alice.get(f"/v2/{name}/blobs/{digest_of(blob)}")) == blob
    assert manage("fsck", "--deep").output.startswith("no problems")
    source.push_image(b"new", "v1")
    uploaded()
    assert "1 manifest, 0 new tags, 1 moved tag, 2 blobs" in imported(address).output
    assert len(seaweedfs.keys(own)) == Blob.objects.count() + 1


def test_a_large_blob_is_copied_in_parts(
    own: str, alice: Caller, source: SourceTree, uploaded: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribution.storage.s3.MAX_COPY_BYTES", 6 * MEBIBYTE)
    large = os.urandom(17 * MEBIBYTE)
    for blob in (b"{}", large):
        source.push_blob(blob)
    source.push_manifest(manifest(b"{}", large), "v1")

    ran = imported(uploaded(), "--verify")

    assert ran.status == 0, ran.output
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(large)}")) == large
    assert manage("fsck", "--deep").output.startswith("no problems")


def test_what_a_bucket_lacks_is_left_out(own: str, cast: None, source: SourceTree, uploaded: Upload) -> None:
    source.push_image(b"sound", "sound")
    broken = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).unlink()
    source.push_image(b"two", "empty", "gone")
    source.tag_link("empty").write_bytes(b"")
    source.tag_link("gone").unlink()

    ran = imported(uploaded())

    assert ran.status == 1
    assert f"{NAME}@{digest_of(broken)}: it needs blob {digest_of(b'one')}: its bytes are missing" in ran.output
    assert f"{NAME}:empty: its link" in ran.output
    assert f"{NAME}:gone: the tag names nothing" in ran.output
    assert set(Tag.objects.values_list("name", flat=True)) == {"sound"}


def test_a_move_deletes_what_the_registry_has(
    own: str, alice: Caller, source: SourceTree, uploaded: Upload, seaweedfs: S3Server
) -> None:
    source.push_image(b"one", "v1")
    address = uploaded("")

    ran = imported(address, "--move")

    assert ran.status == 0, ran.output
    left = seaweedfs.keys(address.removeprefix("s3://").rstrip("/"))
    assert not any(digest_of(b"one").removeprefix("sha256:") in key for key in left if key.endswith("data"))
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'one')}")) == b"one"


def test_a_folder_is_copied_into_s3_and_a_bucket_is_exported(
    own: str, alice: Caller, source: SourceTree, tmp_path: Path
) -> None:
    source.push_image(b"one", "v1")

    refused = imported(str(source.root))
    copied = imported(str(source.root), "--copy")
    exported = manage("exportregistry", str(tmp_path / "out"))

    assert refused.status == 1
    assert "run this with --copy" in refused.output
    assert copied.status == exported.status == 0, copied.output + exported.output
    files: dict[str, Any] = {}
    for root in (source.root, tmp_path / "out"):
        files[str(root)] = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert files[str(source.root)] == files[str(tmp_path / "out")]


def test_no_bucket_and_no_registry_are_said(own: str, cast: None, seaweedfs: S3Server) -> None:
    empty = seaweedfs.make_bucket("empty")

    assert "no registry's storage" in imported(f"s3://{empty}/").output
    assert "there is no bucket missing" in imported("s3://missing/").output
    assert not Manifest.objects.exists()
