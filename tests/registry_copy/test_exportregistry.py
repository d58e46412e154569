"""`manage.py exportregistry`: the tree that another registry serves, and OCI image layouts."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.sizes import size_text
from distribution.models import Blob, Manifest
from tests.caller import Caller
from tests.images import digest_of, index, push_image, put_manifest
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import NAME, SourceTree
from tests.storages import is_s3

Import = Callable[..., Ran]

pytestmark = pytest.mark.usefixtures("disk")


@pytest.fixture
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported") / "folder"


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_was_imported_is_exported_as_it_was(
    disk: Path, cast: None, source: SourceTree, imported: Import, target: Path
) -> None:
    one, other = source.push_image(b"one", "v1", "latest"), source.push_image(b"other", name="alice/other/deep")
    source.push_index(one, tags=("multi",))
    source.push_blob(b"long", algorithm="sha512")
    os.utime(source.tag_link("v1"), (1_600_000_000, 1_600_000_000))
    assert imported().status == 0

    ran = manage("exportregistry", str(target))

    assert ran.status == 0, ran.output
    assert "exported 2 repositories" in ran.output
    assert files(target) == files(source.root)
    assert SourceTree.at(target).data(digest_of(b"one")).samefile(source.data(digest_of(b"one"))) is not is_s3()
    assert SourceTree.at(target).tag_link("v1").stat().st_mtime == 1_600_000_000
    assert SourceTree.at(target).revision_link(digest_of(other), "alice/other/deep").is_file()


def test_another_run_adds_what_came_since(alice: Caller, target: Path) -> None:
    push_image(alice, NAME, "v1")
    assert manage("exportregistry", str(target)).status == 0
    before = files(target)
    moved = push_image(alice, NAME, "v1", b"moved")

    ran = manage("exportregistry", str(target), "--verify")

    assert ran.status == 0, ran.output
    new = size_text(sum(blob.size for blob in Blob.objects.order_by("-pk")[:2]))
    assert f"2 blobs with {new} that were not there" in ran.output
    assert SourceTree.at(target).tag_link("v1").read_text() == moved.digest
    assert before.keys() < files(target).keys()


@pytest.mark.parametrize("options", [(), ("--oci-layout",)])
def test_what_a_proxy_fetched_in_part_is_left_out(alice: Caller, target: Path, options: tuple[str, ...]) -> None:
    whole, part = push_image(alice, NAME, "whole"), push_image(alice, NAME, "part", b"part")
    put_manifest(alice, NAME, "all", index(part.payload))
    Manifest.objects.filter(digest=part.digest).update(missing=digest_of(b"elsewhere"))

    ran = manage("exportregistry", str(target), *options)

    assert ran.status == 1
    for left in (f"{NAME}@{part.digest}", f"{NAME}:part", f"{NAME}:all"):
        assert f"left out: {left}: " in ran.output
    assert "it was fetched from another registry, and nobody has pulled all that it names" in ran.output
    written = b"".join(files(target).values())
    assert whole.digest.encode() in written
    assert part.digest.encode() not in written


def test_a_tag_that_was_moved_there_later_stays(alice: Caller, target: Path) -> None:
    push_image(alice, NAME, "v1")
    assert manage("exportregistry", str(target)).status == 0
    push_image(alice, NAME, "v1", b"moved")
    link = SourceTree.at(target).tag_link("v1")
    link.write_text(digest_of(b"pushed there"))
    os.utime(link, (9_000_000_000, 9_000_000_000))

    ran = manage("exportregistry", str(target))

    assert f"kept: {NAME}:v1: it was moved there later" in ran.output
    assert link.read_text() == digest_of(b"pushed there")


def test_spoiled_files_are_replaced(alice: Caller, target: Path, disk: Path) -> None:
    image = push_image(alice, NAME, "v1")
    manage("exportregistry", str(target), "--copy")
    there = SourceTree.at(target)
    there.data(image.layers[0]).write_bytes(b"A LAYER")
    there.data(image.digest).write_bytes(b"")
    (there.data(image.config).parent / ".partial-data").write_bytes(b"of a run that was killed")
    there.data(image.config).unlink()

    ran = manage("exportregistry", str(target), "--copy", "--verify")

    assert ran.status == 0, ran.output
    assert there.data(image.layers[0]).read_bytes() == b"a layer"
    assert there.data(image.digest).read_bytes() == image.payload
    assert not list(target.rglob(".partial-*"))
    assert {path.stat().st_nlink for path in target.rglob("data")} == {1}
    assert len([path for path in disk.rglob("*") if path.is_file()]) == 2


def test_a_lost_and_a_corrupt_blob_are_left_out(alice: Caller, target: Path, disk: Path) -> None:
    image = push_image(alice, NAME, "v1")
    push_image(alice, NAME, "v2", b"another")
    (disk / Blob.objects.get(digest=image.layers[0]).key).unlink()
    Blob.objects.filter(digest=digest_of(b"another")).update(is_corrupt=True)

    ran = manage("exportregistry", str(target))

    assert ran.status == 1
    assert f"left out: {NAME}@{image.layers[0]}: its object " in ran.output
    assert f"left out: {NAME}@{digest_of(b'another')}: it is marked corrupt" in ran.output
    assert "left out, for the reasons above: 2 blobs" in ran.output


@pytest.mark.parametrize("words", [(), ("--copy",)])
def test_a_blob_with_other_bytes_is_not_exported(
    words: tuple[str, ...], alice: Caller, target: Path, disk: Path
) -> None:
    image = push_image(alice, NAME, "v1")
    (disk / Blob.objects.get(digest=image.layers[0]).key).write_bytes(b"A LAYER")

    ran = manage("exportregistry", str(target), "--verify", *words)

    assert ran.status == 1
    assert "has other bytes" in ran.output
    assert not SourceTree.at(target).data(image.layers[0]).exists()


@pytest.mark.skipif(is_s3(), reason="about files")
def test_without_hard_links_blobs_are_copied(alice: Caller, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, os.strerror(18))

    push_image(alice, NAME, "v1")
    monkeypatch.setattr("registry_copy.exporting.target.os.link", refuse)

    assert manage("exportregistry", str(target)).status == 0

    assert {path.stat().st_nlink for path in target.rglob("data")} == {1}


def test_only_repositories_of_the_glob_are_exported(alice: Caller, target: Path) -> None:
    push_image(alice, NAME, "v1")
    push_image(alice, "public/app", "v1")

    assert manage("exportregistry", str(target), "--repository", "public/*").status == 0

    assert [path.name for path in (target / "docker/registry/v2/repositories").iterdir()] == ["public"]


def test_oci_layouts_name_tags_and_untagged_manifests(alice: Caller, target: Path) -> None:
    image = push_image(alice, NAME, "v1")
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": 9}
    referrer = json.loads(image.payload) | {"subject": subject}
    put_manifest(alice, NAME, digest_of(json.dumps(referrer).encode()), json.dumps(referrer).encode())

    ran = manage("exportregistry", str(target), "--oci-layout")

    layout = target / NAME / "_oci"
    assert ran.status == 0, ran.output
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    named = json.loads((layout / "index.json").read_bytes())["manifests"]
    tags = [one.get("annotations", {}).get("org.opencontainers.image.ref.name") for one in named]
    assert tags == ["v1", None]
    assert {one["digest"] for one in named} == set(Manifest.objects.values_list("digest", flat=True))
    blobs = {f"sha256:{path.name}" for path in (layout / "blobs/sha256").iterdir()}
    assert blobs == {image.digest, image.config, *image.layers, named[1]["digest"]}
