"""The examples of the README and of the management API: requests by curl."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import documents
from tests.clients.conftest import LogIn
from tests.clients.layouts import image
from tests.clients.server import Server, password_of

pytestmark = pytest.mark.client("curl")


def curl(*arguments: str) -> str:
    """Return what curl prints; fail on any status of 400 and above."""
    command = ["curl", "--silent", "--show-error", "--fail", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.client("skopeo")
def test_a_token_by_curl_opens_the_catalog(server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    admin = skopeo("admin")
    admin.run("copy", image(tmp_path / "image").reference("v1"), admin.docker("myorg/test:v1"))

    login = f"admin:{password_of('admin')}"
    scope = "service=Docker%20Registry&scope=repository:myorg/test:pull,push"
    token = json.loads(curl("--user", login, f"http://{server.host}/v2/token?{scope}"))["token"]
    catalog = json.loads(curl("--header", f"Authorization: Bearer {token}", f"http://{server.host}/v2/_catalog"))

    assert "myorg/test" in catalog["repositories"]


def test_a_wrong_password_gets_no_token(server: Server) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="22"):
        curl("--user", "admin:wrong", f"http://{server.host}/v2/token")


@pytest.mark.client("skopeo")
def test_the_examples_of_the_management_api_work(server: Server, skopeo: LogIn, tmp_path: Path) -> None:
    alice = skopeo("alice")
    alice.run("copy", image(tmp_path / "image").reference("v1"), alice.docker("alice/app:v1"))
    bearer = f"Bearer {server.token('alice', 'repository:alice/app:pull')}"
    answer = server.request("HEAD", "/v2/alice/app/manifests/v1", authorization=bearer)
    commands = documents.block("docs/api-v1.md", "runs: api").replace("curl ", "curl --silent --show-error --fail ")
    for account in ("alice", "admin"):
        commands = commands.replace(f"--user {account} ", f"--user {account}:{password_of(account)} ")
    variables = {"REGISTRY": f"http://{server.host}", "DIGEST": answer.headers["docker-content-digest"]}

    said = subprocess.run(
        ["sh", "-e"], input=commands, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True
    ).stdout

    assert '"name":"latest"' in said
    assert "bob may not push alice/app" in said
