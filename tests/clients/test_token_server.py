"""Debian's docker-registry, which has its tokens from here: docs/token-server.md."""

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.clients.docker_registry import TokenServer
from tests.clients.layouts import image
from tests.clients.program import Program, skopeo_in
from tests.clients.server import Server, basic, started
from tests.ports import free_port

pytestmark = [pytest.mark.client("skopeo"), pytest.mark.client("docker-registry")]


@contextmanager
def other_registry(server: TokenServer, folder: Path) -> Iterator[str]:
    """Run docker-registry with the setting of the document; yield its address."""
    host = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}},
        "http": {"addr": host},
        "auth": {"token": server.section(folder)},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    program = shutil.which("docker-registry") or ""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while answer(host, "/v2/", "") is None:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield host
    finally:
        process.kill()
        process.wait()


def answer(host: str, path: str, authorization: str) -> tuple[int, bytes] | None:
    """Return status and body, None when it does not answer."""
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return None
    finally:
        connection.close()


def token(server: Server, account: str, service: str, scope: str) -> str:
    """Return the Authorization header with a token."""
    path = f"/v2/token?service={service.replace(' ', '%20')}&scope={scope}"
    found = answer(server.host, path, basic(account))
    assert found is not None
    assert found[0] == 200, found
    return f"Bearer {json.loads(found[1])['token']}"


def logged_in(folder: Path, host: str, account: str) -> Program:
    folder.mkdir()
    program = skopeo_in(folder, host)
    program.log_in(account)
    return program


def test_docker_registry_trusts_the_tokens(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "other").mkdir()
    with started(TokenServer(tmp_path / "server")) as server, other_registry(server, tmp_path / "other") as host:
        alice, bob = logged_in(tmp_path / "alice", host, "alice"), logged_in(tmp_path / "bob", host, "bob")
        source = image(tmp_path / "image").reference("v1")
        alice.run("copy", source, alice.docker("alice/app:v1"))

        assert json.loads(bob.run("list-tags", bob.docker("alice/app")))["Tags"] == ["v1"]
        bob.run("copy", bob.docker("alice/app:v1"), f"dir:{tmp_path}/pulled")
        for refused in (bob.docker("alice/app:v2"), alice.docker("team/app:v1")):
            assert "requested access to the resource is denied" in bob.refused("copy", source, refused)
        alice.run("delete", alice.docker("alice/app:v1"))
        assert "invalid username/password" in skopeo_in(tmp_path / "bob", host).refused(
            "login", "--username=bob", "--password=wrong", host
        )

        scope = "registry:catalog:*"
        listed = answer(host, "/v2/_catalog", token(server, "alice", "old-registry", scope))
        assert listed is not None
        assert json.loads(listed[1]) == {"repositories": ["alice/app"]}
        denied = answer(host, "/v2/_catalog", token(server, "bob", "old-registry", scope))
        assert denied is not None
        assert denied[0] == 401

        # A token of the one is nothing to the other.
        pull = "repository:alice/app:pull"
        for address, service in ((host, "Docker Registry"), (server.host, "old-registry")):
            other = answer(address, "/v2/alice/app/tags/list", token(server, "alice", service, pull))
            assert other is not None
            assert other[0] == 401
