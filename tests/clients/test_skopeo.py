import hashlib
import json
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import Layout, image, multi_arch_image
from tests.clients.program import skopeo_in
from tests.clients.server import Server

pytestmark = pytest.mark.client("skopeo")

MEDIA_TYPES = {
    "oci": "application/vnd.oci.image.manifest.v1+json",
    "v2s2": "application/vnd.docker.distribution.manifest.v2+json",
}


def stored_in(layout: Path) -> dict[str, str]:
    """Return the digest of each file in a `dir:` layout of skopeo, by the name that the file has."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in layout.iterdir()}


def test_the_right_password_logs_in(skopeo: LogIn) -> None:
    alice = skopeo("alice")

    assert alice.run("login", "--get-login", alice.host) == "alice"


def test_a_wrong_password_is_refused(server: Server, tmp_path: Path) -> None:
    stranger = skopeo_in(tmp_path, server.host)

    message = stranger.refused("login", "--username=alice", "--password=wrong", server.host)

    assert "invalid username/password" in message


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_an_image_comes_back_with_the_digest_that_it_was_pushed_with(skopeo: LogIn, tmp_path: Path, kind: str) -> None:
    alice, pulled = skopeo("alice"), tmp_path / "pulled"
    source = image(tmp_path / "image").reference("v1")
    remote = alice.docker(f"alice/{kind}:v1")

    alice.run("copy", f"--format={kind}", f"--digestfile={tmp_path}/digest", source, remote)
    alice.run("copy", remote, f"dir:{pulled}")

    files = stored_in(pulled)
    assert json.loads((pulled / "manifest.json").read_bytes())["mediaType"] == MEDIA_TYPES[kind]
    assert (tmp_path / "digest").read_text() == f"sha256:{files.pop('manifest.json')}"
    assert all(name == digest for name, digest in files.items() if name != "version")


def test_a_multi_arch_index_comes_back_whole(skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    source, pulled = multi_arch_image(tmp_path / "image"), tmp_path / "pulled"
    remote = alice.docker("alice/multi-arch:v1")

    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), remote)
    alice.run("copy", "--all", "--preserve-digests", remote, f"oci:{pulled}:v1")

    came_back = {f"sha256:{file.name}": file.read_bytes() for file in pulled.glob("blobs/sha256/*")}
    assert came_back == source.blobs()


def test_inspect_names_the_digest_and_the_tags(skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    remote = alice.docker("alice/inspected:v1")
    alice.run("copy", f"--digestfile={tmp_path}/digest", image(tmp_path / "image").reference("v1"), remote)

    found = json.loads(alice.run("inspect", remote))

    assert found["Digest"] == (tmp_path / "digest").read_text()
    assert found["RepoTags"] == ["v1"]


def test_a_deleted_image_is_gone(skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    remote = alice.docker("alice/deleted:v1")
    alice.run("copy", image(tmp_path / "image").reference("v1"), remote)

    alice.run("delete", remote)

    assert "manifest unknown" in alice.refused("inspect", remote)


def test_an_image_is_copied_from_one_repository_to_another(skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    source = image(tmp_path / "image")
    alice.run("copy", source.reference("v1"), alice.docker("alice/first:v1"))

    alice.run("copy", alice.docker("alice/first:v1"), alice.docker("alice/second:v1"))

    first = alice.run("inspect", "--raw", alice.docker("alice/first:v1"))
    assert alice.run("inspect", "--raw", alice.docker("alice/second:v1")) == first


def test_a_tag_moves_to_the_image_that_was_pushed_last(skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    remote = alice.docker("alice/moving:latest")
    alice.run("copy", image(tmp_path / "old").reference("v1"), remote)
    new: Layout = image(tmp_path / "new")

    alice.run("copy", "--preserve-digests", new.reference("v1"), remote)

    assert alice.run("inspect", "--raw", remote).encode() in new.blobs().values()
