from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.program import Program, login_file, registries_file
from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server

pytestmark = pytest.mark.client("buildah")


def buildah_in(folder: Path, host: str, storage: Path) -> Program:
    """Return a buildah that keeps its login in `folder` and its images in `storage`."""
    folders = ("--root", str(storage / "root"), "--runroot", str(storage / "run"))
    registries = f"--registries-conf={registries_file(folder, host)}"
    words = ("buildah", *folders, "--storage-driver=vfs", registries)
    return Program(words, host, {"REGISTRY_AUTH_FILE": str(login_file(folder))})


@pytest.fixture
def buildah(server: Server, podman_storage: Path, tmp_path_factory: pytest.TempPathFactory) -> LogIn:
    """Return a function that makes a buildah logged in as the named account; `anonymous` has no login."""

    def logged_in(account: str) -> Program:
        program = buildah_in(tmp_path_factory.mktemp(account), server.host, podman_storage)
        program.log_in(account)
        return program

    return logged_in


def build(buildah: Program, folder: Path, image: str) -> str:
    """Build an image of one new file without a Containerfile and return its name in the registry."""
    (folder / "greeting").write_text(f"hello from {folder}\n")
    container = buildah.run("from", "scratch")
    buildah.run("copy", container, str(folder / "greeting"), "/greeting")
    buildah.run("commit", "--rm", container, f"{buildah.host}/{image}")
    return f"{buildah.host}/{image}"


def test_a_wrong_password_is_refused(server: Server, tmp_path: Path, podman_storage: Path) -> None:
    stranger = buildah_in(tmp_path, server.host, podman_storage)

    message = stranger.refused("login", "--username=alice", "--password=wrong", server.host)

    assert "invalid username/password" in message


@pytest.mark.parametrize("kind", ["oci", "v2s2"])
def test_an_image_comes_back_with_the_digest_that_it_was_pushed_with(buildah: LogIn, tmp_path: Path, kind: str) -> None:
    alice, digest_file = buildah("alice"), tmp_path / "digest"
    name = build(alice, tmp_path, f"alice/buildah-{kind}:v1")

    alice.run("push", f"--format={kind}", f"--digestfile={digest_file}", name)
    alice.run("rmi", name)
    alice.run("pull", name)

    pulled = alice.run("inspect", "--type=image", "--format={{.FromImageDigest}}", name)
    assert pulled == digest_file.read_text()


def test_who_may_only_pull_is_told_so_at_a_push(buildah: LogIn, tmp_path: Path) -> None:
    bob = buildah("bob")
    name = build(bob, tmp_path, "alice/buildah-from-bob:v1")

    message = bob.refused("push", name)

    assert "denied: bob may not" in message


def test_without_a_login_nothing_private_is_pulled(buildah: LogIn, tmp_path: Path) -> None:
    alice, anonymous = buildah("alice"), buildah("anonymous")
    name = build(alice, tmp_path, "alice/buildah-private:v1")
    alice.run("push", name)

    message = anonymous.refused("pull", "--policy=always", name)

    assert "denied: anonymous may not pull" in message


def test_the_documented_recipe_works(server: Server, tmp_path: Path) -> None:
    follow(recipe("buildah", server), tmp_path)

    assert tags_of(server, "alice/from-buildah") == ["v1"]
