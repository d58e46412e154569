"""The commands of the README, typed as they stand there; only port and password are those of the test's server."""

import re
import sys
from pathlib import Path

import pytest

from tests.clients.recipes import settings_in, tags_of
from tests.clients.server import ROOT, Server, password_of
from tests.clients.terminal import type_in
from tests.documents import block


def type_from_readme(mark: str, server: Server, folder: Path) -> str:
    """Type the marked commands as admin and return what the terminal showed."""
    commands = block("README.md", mark).replace("localhost:5000", f"localhost:{server.port}")
    commands = commands.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT}/manage.py")
    own = {"CONFIG_PATH": str(server.folder / "config.yaml"), "DJANGO_SETTINGS_MODULE": "registry_project.settings"}
    return type_in(commands, password_of("admin"), folder, settings_in(folder) | own)


@pytest.fixture
def pushed(server: Server, tmp_path: Path) -> str:
    """Do the first push as the README says, and return what the terminal showed."""
    (tmp_path / "first-push").mkdir()
    return type_from_readme("runs: podman", server, tmp_path / "first-push")


@pytest.mark.client("podman")
def test_the_first_push_works_as_typed(pushed: str) -> None:
    assert "Login Succeeded!" in pushed
    assert "Trying to pull" in pushed


@pytest.mark.client("podman", "skopeo")
def test_the_image_is_copied_out_and_in_as_typed(server: Server, pushed: str, tmp_path: Path) -> None:
    shown = type_from_readme("runs: skopeo", server, tmp_path)

    assert {"v1", "v2"} <= set(re.findall(r'"(v\d)"', shown))


@pytest.mark.client("podman", "skopeo", "curl", "jq")
def test_one_tag_is_deleted_as_typed_and_then_the_manifest_with_the_others(
    server: Server, pushed: str, tmp_path: Path
) -> None:
    type_from_readme("runs: skopeo", server, tmp_path)

    type_from_readme("runs: delete-tag", server, tmp_path)
    assert tags_of(server, "myorg/test", "admin") == ["v1"]
    type_from_readme("runs: delete-manifest", server, tmp_path)

    assert tags_of(server, "myorg/test", "admin") == []


@pytest.mark.client("podman")
def test_a_repository_is_deleted_as_typed(server: Server, pushed: str) -> None:
    shown = type_from_readme("runs: deleterepository", server, server.folder)

    assert "myorg/test has " in shown
    assert "Nothing was changed." in shown
    assert "Its contents are removed." in shown


@pytest.mark.client("podman", "curl", "jq")
def test_the_catalog_is_read_with_a_token_as_typed(server: Server, pushed: str, tmp_path: Path) -> None:
    shown = type_from_readme("runs: curl", server, tmp_path)

    assert re.search(r'\{"repositories": ?\[.*"myorg/test".*\]\}', shown)


def test_docker_is_told_what_podman_is_told() -> None:
    podman = block("README.md", "runs: podman")

    assert block("README.md", "runs: docker") == podman.replace("podman", "docker").replace(" --tls-verify=false", "")


@pytest.mark.parametrize(
    ("mark", "shows"),
    [("runs: loadconfig", "0 added, 0 changed, 0 removed"), ("runs: gc", "objects deleted from the storage")],
)
def test_the_management_commands_work_beside_the_server(server: Server, mark: str, shows: str) -> None:
    assert shows in type_from_readme(mark, server, server.folder)
