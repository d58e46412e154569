"""What an import leaves out, each for its reason, with everything else imported and exit status 1."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.models import Blob, Link, Manifest, Repository, Tag
from policies.models import ImmutableTags
from tests.caller import Caller
from tests.images import digest_of, manifest, push_blob
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import NAME, SourceTree
from tests.storages import is_s3

Import = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("disk", "cast")


@pytest.fixture(autouse=True)
def _sound(source: SourceTree) -> None:
    source.push_image(b"sound", "sound")


def leaves_out(imported: Import, *said: str, words: tuple[str, ...] = ()) -> None:
    """Import, expect the reasons and status 1, and that the sound image is there all the same."""
    ran = imported(*words)
    assert ran.status == 1
    for text in said:
        assert text in ran.output
    assert Tag.objects.filter(name="sound").exists()
    assert manage("fsck", "--deep").output.startswith("no problems")


def test_schema_1(source: SourceTree, imported: Import) -> None:
    payload = json.dumps({"schemaVersion": 1, "name": NAME, "tag": "old", "fsLayers": [], "history": []}).encode()
    digest = source.push_manifest(payload, "old")

    leaves_out(
        imported,
        f"left out: {NAME}:old: its manifest {digest}: schema 1 manifests are not supported",
        f"left out: {NAME}@{digest}: schema 1 manifests are not supported",
        "left out, for the reasons above: 1 manifest, 1 tag",
    )


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a JSON object"),
        (b'{"schemaVersion": 2, "mediaType": "text/html"}', "is not one of"),
        (b'{"schemaVersion": 2, "config": {}}', "digest is not a string"),
        (b"[" * 100_000, "nest"),
    ],
)
def test_a_broken_manifest(payload: bytes, reason: str, source: SourceTree, imported: Import) -> None:
    digest = source.push_manifest(payload)

    leaves_out(imported, f"left out: {NAME}@{digest}: ", reason)


def test_a_manifest_with_other_bytes(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(payload)).write_bytes(payload + b" ")

    leaves_out(imported, f"{NAME}:v1: its manifest {digest_of(payload)}: its bytes have another digest")


def test_a_manifest_without_bytes(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(payload)).unlink()

    leaves_out(imported, f"{NAME}@{digest_of(payload)}: its bytes are missing")


def test_a_manifest_whose_layer_has_no_bytes(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).unlink()

    leaves_out(
        imported,
        f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')}: its bytes are missing",
        "left out, for the reasons above: 1 manifest, 1 tag",
    )


def test_a_manifest_whose_layer_is_in_another_repository_only(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.push_blob(b"one", "alice/other")
    source.layer_link(digest_of(b"one")).unlink()

    leaves_out(
        imported,
        f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')}: the repository has no link to it",
    )


def test_a_layer_of_another_size_than_its_manifest_says(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).write_bytes(b"on")

    leaves_out(
        imported,
        f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')} with 3 bytes, which has 2",
        words=("--verify",),
    )
    assert not Blob.objects.filter(digest=digest_of(b"one")).exists()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "its bytes are missing"), (b"on", "it has 2 bytes, and 3 here")]
)
def test_a_link_to_a_blob_that_is_here_needs_its_bytes_there(
    alice: Caller, source: SourceTree, imported: Import, *, content: bytes | None, reason: str
) -> None:
    push_blob(alice, "alice/private", b"one")
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).unlink()
    if content is not None:
        source.data(digest_of(b"one")).write_bytes(content)

    leaves_out(imported, f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')}: {reason}")
    assert list(Link.objects.filter(blob__digest=digest_of(b"one")).values_list("repository__name", flat=True)) == [
        "alice/private"
    ]


def test_another_image_with_that_layer_is_imported(source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")
    body = json.loads(manifest(b"{}", b"one"))
    body["layers"][0]["size"] = 99
    source.push_blob(b"{}")
    digest = source.push_manifest(json.dumps(body).encode())

    leaves_out(imported, f"{NAME}@{digest}: it needs blob {digest_of(b'one')} with 99 bytes, which has 3")
    assert Tag.objects.filter(name="v1").exists()


def test_a_layer_with_other_bytes_that_no_manifest_names(source: SourceTree, imported: Import) -> None:
    digest = source.push_blob(b"one")
    source.data(digest).write_bytes(b"two")

    leaves_out(imported, f"{NAME}@{digest}: blob {digest} has other bytes")
    assert not Blob.objects.filter(digest=digest).exists()


def test_a_layer_that_was_collected_there_is_only_counted(source: SourceTree, imported: Import) -> None:
    source.data(source.push_blob(b"one")).unlink()

    ran = imported()

    assert ran.status == 0, ran.output
    assert "1 link to a layer whose bytes are gone there" in ran.output


def test_a_layer_with_other_bytes_is_found_by_verify_only(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).write_bytes(b"ONE")

    leaves_out(
        imported,
        f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')}: blob {digest_of(b'one')} has other bytes",
        words=("--verify",),
    )
    trusting = imported()

    assert trusting.status == 0
    assert "the bytes of the blobs were not hashed" in trusting.output


def test_a_copy_is_hashed(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).write_bytes(b"ONE")

    leaves_out(
        imported,
        f"{NAME}@{digest_of(payload)}: it needs blob {digest_of(b'one')}: blob {digest_of(b'one')} has other bytes",
        words=("--copy",),
    )
    assert "were not hashed" not in imported("--copy").output


def test_an_index_without_one_of_its_manifests(source: SourceTree, imported: Import) -> None:
    there, gone = source.push_image(b"there"), manifest(b"{}", b"gone")
    index = source.push_index(there, gone, tags=("multi",))

    leaves_out(
        imported,
        f"{NAME}@{digest_of(index)}: it lists manifest {digest_of(gone)}: the repository has no such manifest",
    )
    assert Manifest.objects.filter(digest=digest_of(there)).exists()
    assert not Manifest.objects.filter(digest=digest_of(index)).exists()


def test_a_link_with_no_digest(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.revision_link(digest_of(payload)).write_bytes(b"")
    layer = source.push_blob(b"another")
    source.layer_link(layer).write_bytes(b"../../etc/passwd")

    leaves_out(imported, "has '' instead of a digest", "has '../../etc/passwd' instead of a digest")


def test_a_link_with_another_digest(source: SourceTree, imported: Import) -> None:
    layer = source.push_blob(b"another")
    source.layer_link(layer).write_text(digest_of(b"sound"))

    leaves_out(imported, f"has another digest, {digest_of(b'sound')}")


def test_a_tag_without_a_revision(source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"one", "v1")
    source.revision_link(digest_of(payload)).unlink()

    leaves_out(imported, f"{NAME}:v1: its manifest {digest_of(payload)}: the repository has no such manifest")


def test_a_tag_that_names_nothing(source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1", "empty")
    source.tag_link("v1").unlink()
    source.tag_link("empty").write_bytes(b"")

    leaves_out(imported, f"{NAME}:v1: the tag names nothing", f"{NAME}:empty: its link")


def test_names_that_the_grammar_refuses(source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "-dash")
    source.push_image(b"two", "v1", name="Alice/App")
    source.push_image(b"three", "v1", name="alice" + "/long" * 70)
    source.push_image(b"four", os.fsdecode(b"\xff\x1b[31m"), name="alice/" + os.fsdecode(b"\xfe"))
    source.push_image(b"five", os.fsdecode(b"\xff\x1b[31m"))

    leaves_out(
        imported,
        f"left out: {NAME}:-dash: '-dash' is not a tag",
        "left out: Alice/App: 'Alice/App' is not a repository name",
        "a repository name has at most 255 characters",
        "left out, for the reasons above: 3 repositories, 2 tags",
    )
    assert Repository.objects.count() == 1


def test_a_blob_that_is_a_symbolic_link(source: SourceTree, imported: Import, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"one")
    source.push_image(b"one", "v1")
    source.data(digest_of(b"one")).unlink()
    source.data(digest_of(b"one")).symlink_to(secret)

    leaves_out(imported, "data is not a file")


def test_an_immutable_tag_stays(source: SourceTree, imported: Import) -> None:
    imported()
    ImmutableTags.objects.create(repositories="alice/*", tags="sound")
    source.push_image(b"moved", "sound")

    ran = imported()

    assert ran.status == 0, ran.output
    assert f"kept: {NAME}:sound: the tag sound of {NAME} is immutable" in ran.output


# --- what ends an import ---------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "said"), [("missing", "no folder"), ("", "no registry's storage")])
def test_a_folder_without_a_registry(name: str, said: str, imported: Import, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ran = imported(folder=str(tmp_path / (name or "empty")))

    assert ran.status == 1
    assert said in ran.output


def test_a_wrong_pattern(imported: Import) -> None:
    ran = imported("--repository", "[")

    assert ran.status == 1
    assert "--repository: " in ran.output


@pytest.mark.skipif(is_s3(), reason="about files")
def test_another_file_system_names_copy(source: SourceTree, imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, os.strerror(18))

    monkeypatch.setattr("registry_copy.source.folder.os.link", refuse)

    ran = imported()

    assert ran.status == 1
    assert "different file systems" in ran.output
    assert "--copy" in ran.output
    monkeypatch.undo()
    assert imported("--copy").status == 0


@pytest.mark.skipif(is_s3() or os.geteuid() != 0, reason="only root links files of others")
def test_a_file_that_the_server_could_not_read_names_copy(source: SourceTree, imported: Import, disk: Path) -> None:
    for folder in disk.glob("objects/*"):
        os.chown(folder, 65534, 65534)
    source.data(digest_of(b"sound")).chmod(stat.S_IRUSR)

    ran = imported()

    for folder in disk.glob("objects/*"):
        os.chown(folder, os.geteuid(), os.getegid())
    assert ran.status == 1
    assert "may not read this file" in ran.output
    assert not Tag.objects.exists()


@pytest.mark.skipif(is_s3(), reason="about files")
def test_a_bucket_into_a_folder(imported: Import) -> None:
    ran = imported(folder="s3://bucket/")

    assert ran.status == 1
    assert "S3 copies into a bucket at the same endpoint only" in ran.output
