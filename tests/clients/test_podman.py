from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.program import Program, podman_in
from tests.clients.server import Server

pytestmark = pytest.mark.client("podman")


def build(podman: Program, folder: Path, image: str) -> str:
    """Build an image of one new file and return its name in the registry."""
    (folder / "greeting").write_text(f"hello from {folder}\n")
    (folder / "Containerfile").write_text("FROM scratch\nCOPY greeting /greeting\nCMD /greeting\n")
    podman.run("build", "--quiet", "--tag", f"{podman.host}/{image}", str(folder))
    return f"{podman.host}/{image}"


def content_of(podman: Program, name: str, target: Path) -> str:
    """Return the file that `build` put into the image."""
    container = podman.run("create", name)
    podman.run("cp", f"{container}:/greeting", str(target))
    podman.run("rm", container)
    return target.read_text()


def test_the_right_password_logs_in(podman: LogIn) -> None:
    alice = podman("alice")

    assert alice.run("login", "--get-login", alice.host) == "alice"


def test_a_wrong_password_is_refused(server: Server, tmp_path: Path, podman_storage: Path) -> None:
    stranger = podman_in(tmp_path, server.host, podman_storage)

    message = stranger.refused("login", "--username=alice", "--password=wrong", server.host)

    assert "invalid username/password" in message


@pytest.mark.parametrize("kind", ["oci", "v2s2"])
def test_an_image_that_was_built_comes_back(podman: LogIn, tmp_path: Path, kind: str) -> None:
    alice, digest_file = podman("alice"), tmp_path / "digest"
    name = build(alice, tmp_path, f"alice/podman-{kind}:v1")

    alice.run("push", f"--format={kind}", f"--digestfile={digest_file}", name)
    alice.run("rmi", name)
    alice.run("pull", name)

    assert alice.run("image", "inspect", "--format={{.Digest}}", name) == digest_file.read_text()
    assert content_of(alice, name, tmp_path / "copy") == (tmp_path / "greeting").read_text()


def test_who_may_only_pull_cannot_push(podman: LogIn, tmp_path: Path) -> None:
    bob = podman("bob")
    name = build(bob, tmp_path, "alice/from-bob:v1")

    message = bob.refused("push", name)

    assert "denied" in message or "authentication required" in message
