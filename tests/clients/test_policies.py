"""What clients print of a policy."""

from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image
from tests.clients.program import podman_in, skopeo_in
from tests.clients.recipes import tags_of
from tests.clients.server import Server, password_of
from tests.clients.signing import require_signatures, sign


@pytest.mark.client("skopeo")
@pytest.mark.client("podman")
def test_clients_print_why_a_push_is_refused(server: Server, tmp_path: Path, podman_storage: Path) -> None:
    skopeo, podman = skopeo_in(tmp_path, server.host), podman_in(tmp_path, server.host, podman_storage)
    for client in (skopeo, podman):
        client.run("login", "--username", "alice", "--password-stdin", client.host, stdin=password_of("alice"))
    source, name = image(tmp_path / "image").reference("v1"), "alice/policies:v1"
    skopeo.run("copy", source, skopeo.docker(name))
    podman.run("pull", f"{server.host}/{name}")
    podman.run("tag", f"{server.host}/{name}", f"{server.host}/alice/policies:v2")
    server.does("readonly", "on", "--repositories", "alice/policies", "--message", "until noon")

    for refused in (
        skopeo.refused("copy", source, skopeo.docker(name)),
        skopeo.refused("delete", skopeo.docker(name)),
        podman.refused("push", f"{server.host}/alice/policies:v2"),
    ):
        assert "alice/policies is read-only: until noon" in refused

    server.does("readonly", "off", "--repositories", "alice/policies")
    skopeo.run("copy", source, skopeo.docker(name))


@pytest.mark.client("skopeo")
def test_of_six_tags_the_last_three_are_pulled_after_retention(skopeo: LogIn, server: Server, tmp_path: Path) -> None:
    alice, repository = skopeo("alice"), "alice/retained"
    tags = [f"build-{number}" for number in range(1, 7)]
    for tag in tags:
        alice.run("copy", image(tmp_path / tag).reference("v1"), alice.docker(f"{repository}:{tag}"))
    make = f"Retention.objects.create(repositories={repository!r}, keep_last=3, remove_untagged=True)"
    server.does("shell", "-c", f"from policies.models import Retention; {make}")

    simulated = server.does("retention", "--repository", repository)
    server.does("gc", "--repository", repository)

    assert tags_of(server, repository) == tags[3:]
    assert [line.split()[0].partition(":")[2] for line in simulated.splitlines() if " goes: " in line] == tags[:3]
    for tag in tags[3:]:
        alice.run("copy", alice.docker(f"{repository}:{tag}"), f"dir:{tmp_path / f'pulled-{tag}'}")
    for tag in tags[:3]:
        assert "manifest unknown" in alice.refused("inspect", "--raw", alice.docker(f"{repository}:{tag}"))


@pytest.mark.client("skopeo")
@pytest.mark.client("podman")
def test_clients_pull_with_a_signature_only(server: Server, skopeo: LogIn, podman: LogIn, tmp_path: Path) -> None:
    source, name = image(tmp_path / "image"), "alice/signed:v1"
    alice, bob = skopeo("alice"), skopeo("bob")
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker(name))
    require_signatures(server, "alice/signed")
    pulls = [
        (bob, ("copy", bob.docker(name), f"oci:{tmp_path}/pulled:v1")),
        (bob, ("inspect", bob.docker(name))),
        (podman("bob"), ("pull", f"{server.host}/{name}")),
    ]
    for client, words in pulls:
        refused = client.refused(*words)
        assert "alice/signed: it has no signature in the repository; images of alice/signed need a signature" in refused

    sign(alice, "alice/signed", source.manifest_digest(), tmp_path / "signature")

    for client, words in pulls:
        client.run(*words)
