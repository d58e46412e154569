"""`docs/troubleshooting.md`: its commands as they are typed, and its messages as clients show them."""

from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image
from tests.clients.recipes import settings_in
from tests.clients.server import Server, password_of
from tests.clients.terminal import type_in
from tests.documents import block, text

DOCUMENT = "docs/troubleshooting.md"


def typed(mark: str, server: Server, account: str, folder: Path) -> str:
    """Type the marked commands as `account` and return what the terminal showed."""
    commands = block(DOCUMENT, mark).replace("localhost:5000", server.host)
    return type_in(commands, password_of(account), folder, settings_in(folder))


@pytest.mark.client("curl")
@pytest.mark.parametrize(
    ("mark", "account", "shows"),
    [
        ("runs: password", "admin", '"token": '),
        ("runs: challenge", "admin", 'service="Docker Registry"'),
        ("runs: whoami", "developer", '"name":"developer"'),
        ("runs: health", "admin", '"database": "ok"'),
    ],
)
def test_the_commands_show_what_they_are_for(
    server: Server, tmp_path: Path, mark: str, account: str, shows: str
) -> None:
    assert shows in typed(mark, server, account, tmp_path)


@pytest.mark.client("curl")
def test_a_wrong_password_is_unauthorized(server: Server, tmp_path: Path) -> None:
    commands = block(DOCUMENT, "runs: password").replace("localhost:5000", server.host)

    shown = type_in(commands, "wrong", tmp_path, settings_in(tmp_path))

    assert "authentication required" in shown
    assert "### unauthorized: authentication required" in text(DOCUMENT)


@pytest.mark.client("skopeo")
def test_a_wrong_password_is_what_the_document_calls_it(skopeo: LogIn) -> None:
    words = skopeo("anonymous").refused("login", "--username=alice", "--password=wrong", skopeo("anonymous").host)

    assert "invalid username/password" in words
    assert "Also `unauthorized`, `invalid username/password`." in text(DOCUMENT)


@pytest.mark.client("skopeo")
def test_a_refused_push_names_account_actions_and_repository(skopeo: LogIn, tmp_path: Path) -> None:
    bob = skopeo("bob")

    words = bob.refused("copy", image(tmp_path / "image").reference("v1"), bob.docker("alice/app:v1"))

    assert "denied: bob may not push alice/app" in words
    assert "`denied: developer may not push myorg/app`" in text(DOCUMENT)


@pytest.mark.client("skopeo")
def test_https_to_the_registry_itself_is_what_the_document_calls_it(server: Server, skopeo: LogIn) -> None:
    alice = skopeo("alice")

    words = alice.refused("inspect", "--tls-verify=true", alice.docker("alice/app:v1"))

    assert "http: server gave HTTP response to HTTPS client" in words
    assert "### http: server gave HTTP response to HTTPS client" in text(DOCUMENT)
