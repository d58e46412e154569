"""containerd, by its own client `ctr`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.background import skip_without_namespaces
from tests.clients.conftest import LogIn
from tests.clients.containerd import containerd_in, ctr_at
from tests.clients.layouts import image, multi_arch_image
from tests.clients.program import Program
from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server, password_of
from tests.clients.signing import require_signatures, sign

pytestmark = pytest.mark.client("containerd", "ctr", "skopeo")


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a containerd for the tests of this file."""
    skip_without_namespaces("containerd")
    with containerd_in(tmp_path_factory.mktemp("containerd")) as path:
        yield path


@pytest.fixture
def ctr(server: Server, socket: Path) -> Program:
    """Return the client, whose calls each name their account."""
    return ctr_at(socket, server.host)


@pytest.fixture
def digest(skopeo: LogIn, tmp_path: Path) -> str:
    """Push alice/app:v1 and return its digest."""
    alice, source = skopeo("alice"), image(tmp_path / "image")
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/app:v1"))
    return source.manifest_digest()


def user(account: str, password: str = "") -> list[str]:
    """Return the options that a call of ctr as `account` has."""
    return ["--plain-http", f"--user={account}:{password or password_of(account)}"]


def digest_in(ctr: Program, name: str) -> str:
    """Return the digest of the image that containerd knows as `name`."""
    found = re.search(r"sha256:[0-9a-f]{64}", ctr.run("images", "list", f"name=={name}"))
    return found.group() if found else ""


def test_an_image_is_pulled_with_its_digest(ctr: Program, digest: str) -> None:
    name = f"{ctr.host}/alice/app:v1"

    ctr.run("images", "pull", *user("alice"), name)

    assert digest_in(ctr, name) == digest


def test_an_image_that_was_imported_is_pushed_with_its_digest(
    ctr: Program, skopeo: LogIn, server: Server, tmp_path: Path
) -> None:
    alice, source, name = skopeo("alice"), image(tmp_path / "image"), f"{ctr.host}/alice/imported:v1"
    alice.run("copy", source.reference("v1"), f"oci-archive:{tmp_path}/archive.tar:v1")
    ctr.run("images", "import", "--base-name", name.removesuffix(":v1"), f"{tmp_path}/archive.tar")

    ctr.run("images", "push", *user("alice"), name)

    digest = alice.run("inspect", "--format={{.Digest}}", alice.docker("alice/imported:v1"))
    assert digest == digest_in(ctr, name) != ""


def test_an_image_is_pushed_to_a_second_repository(ctr: Program, server: Server, digest: str) -> None:
    name = f"{ctr.host}/alice/app:v1"
    ctr.run("images", "pull", *user("alice"), name)

    ctr.run("images", "push", *user("alice"), f"{ctr.host}/alice/mounted-by-ctr:v1", name)

    assert tags_of(server, "alice/mounted-by-ctr") == ["v1"]


def test_an_image_of_several_platforms_is_pushed_whole(ctr: Program, skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), multi_arch_image(tmp_path / "image")
    remote, name = alice.docker("alice/platforms-by-ctr:v1"), f"{ctr.host}/alice/platforms:v1"
    alice.run("copy", "--all", "--preserve-digests", source.reference("v1"), alice.docker("alice/platforms:v1"))
    ctr.run("images", "pull", "--all-platforms", *user("alice"), name)

    ctr.run("images", "push", *user("alice"), remote.removeprefix("docker://"), name)

    assert alice.run("inspect", "--raw", remote).encode() == source.blobs()[source.manifest_digest()]


def test_who_may_only_pull_cannot_push(ctr: Program, digest: str) -> None:
    name = f"{ctr.host}/alice/app:v1"
    ctr.run("images", "pull", *user("bob"), name)

    message = ctr.refused("images", "push", *user("bob"), f"{ctr.host}/alice/ctr-of-bob:v1", name)

    assert "authorization failed" in message


def test_a_stranger_cannot_pull(ctr: Program, digest: str) -> None:
    message = ctr.refused("images", "pull", *user("charlie"), f"{ctr.host}/alice/app:v1")

    assert "pull access denied, repository does not exist or may require authorization" in message


def test_a_wrong_password_is_refused(ctr: Program, digest: str) -> None:
    message = ctr.refused("images", "pull", *user("alice", "wrong"), f"{ctr.host}/alice/app:v1")

    assert "401 Unauthorized" in message


def test_the_documented_recipe_works(socket: Path, server: Server, digest: str, tmp_path: Path) -> None:
    follow(recipe("containerd", server), tmp_path, {"CONTAINERD_ADDRESS": str(socket)})

    assert tags_of(server, "alice/from-ctr") == ["v1"]


def test_an_image_is_pulled_with_a_signature_only(ctr: Program, server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    alice, source, name = skopeo("alice"), image(tmp_path / "image"), f"{ctr.host}/alice/signed-by-ctr:v1"
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/signed-by-ctr:v1"))
    require_signatures(server, "alice/signed-by-ctr")

    # It asks by HEAD, whose answer has no message.
    assert "403 Forbidden" in ctr.refused("images", "pull", *user("bob"), name)
    sign(alice, "alice/signed-by-ctr", source.manifest_digest(), tmp_path / "signature")

    ctr.run("images", "pull", *user("bob"), name)


def test_it_prints_the_status_alone_when_a_policy_refuses_a_push(
    ctr: Program, digest: str, skopeo: LogIn, tmp_path: Path, policies: Callable[[str], None]
) -> None:
    alice, limited = skopeo("alice"), f"{ctr.host}/alice/limited"
    alice.run("copy", image(tmp_path / "first").reference("v1"), alice.docker("alice/limited:v1"))
    for tag in ("v1", "v2"):
        alice.run("copy", image(tmp_path / f"other-{tag}").reference("v1"), alice.docker(f"alice/other:{tag}"))
        ctr.run("images", "pull", *user("alice"), f"{ctr.host}/alice/other:{tag}")
        ctr.run("images", "tag", f"{ctr.host}/alice/other:{tag}", f"{limited}:{tag}")

    policies("ImmutableTags.objects.create(repositories='alice/limited', tags='v1')")
    assert "409 Conflict" in ctr.refused("images", "push", *user("alice"), f"{limited}:v1")

    policies("Quota.objects.create(repositories='alice/limited', max_size=1024)")
    assert "403 Forbidden" in ctr.refused("images", "push", *user("alice"), f"{limited}:v2")

    policies("ReadOnly.objects.create(repositories='alice/limited')")
    assert "403 Forbidden" in ctr.refused("images", "push", *user("alice"), f"{limited}:v2")
