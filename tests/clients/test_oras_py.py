"""oras-py, the Python client of the ORAS project. It keeps the first token that it gets for all that follows."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.recipes import follow, recipe, tags_of
from tests.clients.server import Server, password_of

# Where they are used, since their import takes two seconds, which each process that collects tests would spend.
if TYPE_CHECKING:
    from oras.provider import Registry

SBOM = "application/vnd.example.sbom"

Oras = Callable[..., "Registry"]


def no_wait(seconds: float) -> None:
    """Return at once."""


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oras-py ask again at once: it waits 131 seconds in all before it gives up."""
    # First: imported in another order, its modules do not find each other.
    import oras.provider  # noqa: F401

    monkeypatch.setattr("oras.decorator.time", SimpleNamespace(sleep=no_wait))


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Oras:
    """Return a function that makes an oras-py logged in as the named account; `anonymous` has no login."""
    from oras.provider import Registry

    def logged_in(account: str, password: str = "", **options: str) -> Registry:
        made = Registry(hostname=server.host, insecure=True, **options)
        if account != "anonymous":
            kept_in = str(tmp_path / f"{account}.json")
            made.login(account, password or password_of(account), hostname=server.host, config_path=kept_in)
        return made

    return logged_in


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Return a file to push, new each time."""
    path = tmp_path / "artifact.txt"
    path.write_text(f"an artifact of {tmp_path}")
    return path


def push(client: "Registry", artifact: Path, image: str, **options: Any) -> str:
    """Push `file` as `image` and return the digest of the manifest."""
    target = f"{client.hostname}/{image}"
    done = client.push(target, files=[f"{artifact}:text/plain"], disable_path_validation=True, quiet=True, **options)
    digest: str = done.headers["Docker-Content-Digest"]
    return digest


def pull(client: "Registry", image: str, folder: Path) -> str:
    """Pull `image` into `folder` and return the content of its one file."""
    (path,) = client.pull(f"{client.hostname}/{image}", outdir=str(folder))
    return Path(path).read_text()


def attach(client: "Registry", artifact: Path, digest: str) -> str:
    """Push `file` as a referrer of the manifest `digest` of alice/attached and return the referrer's digest."""
    from oras.oci import Subject

    found = client.do_request(f"http://{client.hostname}/v2/alice/attached/manifests/{digest}", "HEAD")
    subject = Subject(found.headers["Content-Type"], digest, int(found.headers["Content-Length"]))
    return push(client, artifact, "alice/attached:sbom", subject=subject, manifest_config=f"{artifact}:{SBOM}")


def discover(client: "Registry", digest: str, artifact_type: str = "") -> dict[str, str]:
    """Return the digests of what refers to `digest` in alice/attached, with their artifact types."""
    url = f"http://{client.hostname}/v2/alice/attached/referrers/{digest}"
    index = client.do_request(url + (f"?artifactType={artifact_type}" if artifact_type else "")).json()
    return {entry["digest"]: entry["artifactType"] for entry in index["manifests"]}


@pytest.mark.parametrize("options", [{}, {"do_chunked": True, "chunk_size": 7}], ids=["whole", "in chunks"])
def test_an_artifact_comes_back(client: Oras, artifact: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    push(client("alice"), artifact, "alice/artifact:v1", **options)

    assert pull(client("bob"), "alice/artifact:v1", tmp_path / "pulled") == artifact.read_text()


def test_one_client_pushes_attaches_discovers_and_pulls(client: Oras, artifact: Path, tmp_path: Path) -> None:
    alice = client("alice")
    digest = push(alice, artifact, "alice/attached:v1")
    referrer = attach(alice, artifact, digest)

    found = discover(alice, digest)

    assert found == {referrer: SBOM}
    assert pull(alice, f"alice/attached@{referrer}", tmp_path / "pulled") == artifact.read_text()


def test_referrers_are_found_by_their_type(client: Oras, artifact: Path) -> None:
    alice = client("alice")
    digest = push(alice, artifact, "alice/attached:v1")
    referrer = attach(alice, artifact, digest)

    bob = client("bob")

    assert discover(bob, digest, SBOM) == {referrer: SBOM}
    assert discover(bob, digest, "application/vnd.example.other") == {}


def test_tags_come_page_by_page(client: Oras, artifact: Path) -> None:
    alice = client("alice")
    for tag in ("a", "b", "c"):
        push(alice, artifact, f"alice/many-tags:{tag}")

    assert alice.get_tags(f"{alice.hostname}/alice/many-tags", N=2) == ["a", "b"]


def test_what_is_public_needs_no_login(client: Oras, artifact: Path, tmp_path: Path) -> None:
    push(client("admin"), artifact, "public/artifact:v1")

    assert pull(client("anonymous"), "public/artifact:v1", tmp_path / "pulled") == artifact.read_text()


def test_what_is_private_needs_a_login(client: Oras, artifact: Path, tmp_path: Path) -> None:
    push(client("alice"), artifact, "alice/private-artifact:v1")

    with pytest.raises(ValueError, match="Unauthorized"):
        pull(client("anonymous"), "alice/private-artifact:v1", tmp_path)


def test_who_may_only_pull_cannot_push(client: Oras, artifact: Path) -> None:
    with pytest.raises(ValueError, match="authentication required"):
        push(client("bob"), artifact, "alice/artifact-of-bob:v1")


def test_a_wrong_password_is_refused(client: Oras, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Cannot respond to request for authentication"):
        pull(client("alice", "wrong"), "alice/artifact:v1", tmp_path)


def test_a_password_in_place_of_a_token_is_refused(client: Oras, artifact: Path) -> None:
    with pytest.raises(ValueError, match="authentication required"):
        push(client("alice", auth_backend="basic"), artifact, "alice/artifact-by-password:v1")


def test_the_documented_recipe_works(server: Server, tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(recipe("oras-py", server))

    shown = follow(f"{sys.executable} recipe.py", tmp_path)

    assert tags_of(server, "alice/from-oras") == ["v1-sbom"]
    assert (tmp_path / "pulled" / "hello.txt").read_text() == "Hello from my registry\n"
    assert "202" in shown
