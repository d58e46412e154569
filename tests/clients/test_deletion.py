"""skopeo deletes: it looks up the digest of what it is given, asks for a token of `*`, and deletes the digest."""

import json
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image, multi_arch_image
from tests.clients.recipes import tags_of
from tests.clients.server import Server

pytestmark = pytest.mark.client("skopeo")


def test_a_deleted_manifest_takes_all_its_tags_with_it(skopeo: LogIn, server: Server, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), image(tmp_path / "image").reference("v1")
    for tag in ("v1", "v2"):
        alice.run("copy", source, alice.docker(f"alice/two-tags:{tag}"))
    alice.run("copy", image(tmp_path / "other").reference("v1"), alice.docker("alice/two-tags:other"))

    alice.run("delete", alice.docker("alice/two-tags:v1"))

    assert tags_of(server, "alice/two-tags") == ["other"]


def test_an_index_that_was_copied_whole_is_deleted_and_its_images_stay(skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "image")
    remote = alice.docker("alice/deleted-index:v1")
    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), remote)
    images = [entry["digest"] for entry in json.loads(source.blobs()[source.manifest_digest()])["manifests"]]

    alice.run("delete", remote)

    assert "manifest unknown" in alice.refused("inspect", "--raw", remote)
    assert all(alice.run("inspect", "--raw", alice.docker(f"alice/deleted-index@{digest}")) for digest in images)


def test_an_image_stays_while_an_index_lists_it(skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "image")
    remote = alice.docker("alice/kept-index:v1")
    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), remote)
    child = json.loads(source.blobs()[source.manifest_digest()])["manifests"][0]["digest"]

    message = alice.refused("delete", alice.docker(f"alice/kept-index@{child}"))

    assert f"in use by {source.manifest_digest()}" in message
    assert alice.run("inspect", "--raw", alice.docker(f"alice/kept-index@{child}"))


def test_who_may_push_may_not_delete_for_that(skopeo: LogIn, tmp_path: Path) -> None:
    developer = skopeo("developer")
    remote = developer.docker("myorg/backend-kept:v1")
    developer.run("copy", image(tmp_path / "image").reference("v1"), remote)

    message = developer.refused("delete", remote)

    assert "authentication required" in message
    assert developer.run("inspect", "--raw", remote)


def test_an_index_is_copied_to_a_second_repository_with_its_digests(skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "image")
    first, second = alice.docker("alice/index-one:v1"), alice.docker("alice/index-two:v1")
    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), first)

    alice.run("copy", "--all", "--preserve-digests", first, second)

    assert alice.run("inspect", "--raw", second).encode() == source.blobs()[source.manifest_digest()]


def test_a_schema_2_list_keeps_its_digests(skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "image").reference("v1")
    converted, again = alice.docker("alice/list-one:v1"), alice.docker("alice/list-two:v1")
    alice.run("copy", "--all", "--format=v2s2", source, converted)

    alice.run("copy", "--all", "--preserve-digests", converted, again)

    stored = alice.run("inspect", "--raw", again)
    assert json.loads(stored)["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert stored == alice.run("inspect", "--raw", converted)
