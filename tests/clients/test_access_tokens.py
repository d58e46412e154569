"""Clients log in with an access token: limited, many at once, refused as soon as it is revoked."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.layouts import image
from tests.clients.program import Program, podman_in, skopeo_in
from tests.clients.server import Server

JOBS = 32


def new_token(server: Server, name: str, *scopes: str) -> str:
    """Make a token of alice with `manage.py createtoken`."""
    options = [word for scope in scopes for word in ("--scope", scope)]
    return server.does("createtoken", "alice", "--name", name, *options).strip()


def log_in(client: Program, token: str) -> None:
    client.run("login", "--username", "alice", "--password-stdin", client.host, stdin=token)


@pytest.mark.client("skopeo")
def test_skopeo_pushes_with_a_token_until_it_is_revoked(server: Server, tmp_path: Path) -> None:
    client = skopeo_in(tmp_path, server.host)
    log_in(client, new_token(server, "skopeo"))
    source, remote = image(tmp_path / "image").reference("v1"), client.docker("alice/tokens:v1")
    client.run("copy", source, remote)
    client.run("inspect", remote)

    server.does("revoketoken", "alice", "--name", "skopeo")

    assert "unauthorized" in client.refused("inspect", remote).lower()


@pytest.mark.client("skopeo")
@pytest.mark.client("podman")
def test_podman_can_not_push_with_a_token_for_pulls(server: Server, tmp_path: Path, podman_storage: Path) -> None:
    owner, machine = skopeo_in(tmp_path, server.host), podman_in(tmp_path, server.host, podman_storage)
    log_in(owner, new_token(server, "owner"))
    name = "alice/limited:v1"
    owner.run("copy", image(tmp_path / "image").reference("v1"), owner.docker(name))
    log_in(machine, new_token(server, "machine", "alice/limited:pull"))

    machine.run("pull", f"{server.host}/{name}")

    machine.run("tag", f"{server.host}/{name}", f"{server.host}/alice/limited:v2")
    message = machine.refused("push", f"{server.host}/alice/limited:v2").lower()
    assert "unauthorized" in message or "denied" in message


@pytest.mark.client("skopeo")
def test_many_jobs_log_in_with_one_token_at_once(server: Server, tmp_path: Path) -> None:
    token = new_token(server, "jobs", "alice/*:pull")

    def job(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        client = skopeo_in(folder, server.host)
        log_in(client, token)
        return client.run("login", "--get-login", server.host)

    with ThreadPoolExecutor(JOBS) as pool:
        assert list(pool.map(job, range(JOBS))) == ["alice"] * JOBS
