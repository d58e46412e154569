"""The docker engine, started here, and its client."""

import json
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.background import skip_without_namespaces
from tests.clients.conftest import LogIn
from tests.clients.docker import docker_at, docker_settings, engine_in
from tests.clients.layouts import image
from tests.clients.program import Program
from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server, password_of
from tests.clients.signing import require_signatures, sign

pytestmark = pytest.mark.client("docker", "dockerd", "containerd", "ctr", "busybox")


@pytest.fixture(scope="module")
def engine_address(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a docker engine for the tests of this file."""
    skip_without_namespaces("docker")
    with engine_in(tmp_path_factory.mktemp("docker"), server.host) as host:
        yield host


@pytest.fixture
def docker(engine_address: str, server: Server, tmp_path_factory: pytest.TempPathFactory) -> LogIn:
    """Return a function that makes a docker logged in as the named account; `anonymous` has no login."""

    def logged_in(account: str) -> Program:
        program = docker_at(engine_address, tmp_path_factory.mktemp(account), server.host)
        program.log_in(account)
        return program

    return logged_in


def build(docker: Program, folder: Path, image: str) -> str:
    """Build an image of busybox and one new file, and return its name in the registry."""
    shutil.copy(shutil.which("busybox") or "", folder / "busybox")
    (folder / "greeting").write_text(f"hello from {folder}\n")
    lines = ["FROM scratch", "COPY busybox /bin/busybox", "COPY greeting /greeting"]
    (folder / "Dockerfile").write_text("\n".join([*lines, 'CMD ["/bin/busybox", "cat", "/greeting"]']))
    docker.run("build", "--quiet", "--network=none", f"--tag={docker.host}/{image}", str(folder))
    return f"{docker.host}/{image}"


def digest_in(docker: Program, name: str) -> str:
    """Return the digest under which the engine pushed or pulled `name`."""
    return docker.run("image", "inspect", "--format={{index .RepoDigests 0}}", name).partition("@")[2]


def test_a_wrong_password_is_refused(engine_address: str, server: Server, tmp_path: Path) -> None:
    stranger = docker_at(engine_address, tmp_path, server.host)

    message = stranger.refused("login", "--username=alice", "--password=wrong", server.host)

    assert "unauthorized" in message


def test_a_login_keeps_a_token_and_not_the_password(docker: LogIn) -> None:
    alice = docker("alice")

    kept = json.loads(Path(alice.environment["DOCKER_CONFIG"], "config.json").read_bytes())["auths"][alice.host]

    assert kept["identitytoken"]
    assert password_of("alice") not in b64decode(kept["auth"]).decode()


def test_an_image_that_was_built_comes_back_and_runs(docker: LogIn, tmp_path: Path) -> None:
    alice = docker("alice")
    name = build(alice, tmp_path, "alice/docker:v1")
    alice.run("push", name)
    pushed = digest_in(alice, name)

    alice.run("image", "rm", name)
    alice.run("pull", name)

    assert digest_in(alice, name) == pushed
    assert alice.run("run", "--rm", "--network=none", name) == f"hello from {tmp_path}"


def test_an_image_is_pulled_by_its_digest(docker: LogIn, tmp_path: Path) -> None:
    alice = docker("alice")
    name = build(alice, tmp_path, "alice/docker-digest:v1")
    alice.run("push", name)
    by_digest = f"{alice.host}/alice/docker-digest@{digest_in(alice, name)}"
    alice.run("image", "rm", name)

    alice.run("pull", by_digest)

    assert alice.run("run", "--rm", "--network=none", by_digest) == f"hello from {tmp_path}"


def test_a_layer_that_is_there_is_mounted_into_a_second_repository(docker: LogIn, tmp_path: Path) -> None:
    alice = docker("alice")
    first, second = build(alice, tmp_path, "alice/docker-first:v1"), f"{alice.host}/alice/docker-second:v1"
    alice.run("push", first)
    alice.run("tag", first, second)

    printed = alice.run("push", second)

    assert printed.count("Mounted from alice/docker-first") == 2


def test_who_may_only_pull_is_told_so_at_a_push(docker: LogIn, tmp_path: Path) -> None:
    bob = docker("bob")
    name = build(bob, tmp_path, "alice/docker-from-bob:v1")

    message = bob.refused("push", name)

    assert "denied: bob may not" in message


def test_after_a_logout_nothing_private_is_pulled(docker: LogIn, tmp_path: Path) -> None:
    alice = docker("alice")
    name = build(alice, tmp_path, "alice/docker-private:v1")
    alice.run("push", name)

    alice.run("logout", alice.host)

    assert "denied: anonymous may not pull" in alice.refused("pull", name)


def test_the_documented_recipe_works(engine_address: str, server: Server, tmp_path: Path) -> None:
    follow(recipe("docker", server), tmp_path, docker_settings(engine_address, tmp_path))

    assert tags_of(server, "alice/from-docker") == ["v1"]


@pytest.mark.client("skopeo")
def test_an_image_is_pulled_with_a_signature_only(docker: LogIn, skopeo: LogIn, server: Server, tmp_path: Path) -> None:
    alice, bob, name = skopeo("alice"), docker("bob"), f"{server.host}/alice/signed-by-docker:v1"
    source = image(tmp_path / "image")
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/signed-by-docker:v1"))
    require_signatures(server, "alice/signed-by-docker")

    assert "it has no signature in the repository" in bob.refused("pull", name)
    sign(alice, "alice/signed-by-docker", source.manifest_digest(), tmp_path / "signature")

    bob.run("pull", name)


def test_it_prints_why_a_policy_refuses_a_push(
    docker: LogIn, server: Server, tmp_path: Path, policies: Callable[[str], None]
) -> None:
    alice = docker("alice")
    alice.run("push", build(alice, tmp_path, "alice/limited:v1"))

    policies("ImmutableTags.objects.create(repositories='alice/limited', tags='v1')")
    refused = alice.refused("push", another(alice, tmp_path / "a", "alice/limited:v1"))
    assert "the tag v1 of alice/limited is immutable" in refused

    policies("Quota.objects.create(repositories='alice/limited', max_size=1024)")
    refused = alice.refused("push", another(alice, tmp_path / "b", "alice/limited:v2"))
    assert "quota exceeded for alice/limited" in refused
    assert "of 1.0 KiB used" in refused

    policies("ReadOnly.objects.create(repositories='alice/limited', message='until noon')")
    refused = alice.refused("push", another(alice, tmp_path / "c", "alice/limited:v3"))
    assert "alice/limited is read-only: until noon" in refused


def another(docker: Program, folder: Path, image: str) -> str:
    """Build another image, in a folder of its own."""
    folder.mkdir()
    return build(docker, folder, image)
