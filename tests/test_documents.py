"""What the documents say, against the project: commands, links, configurations, messages of the start."""

import ast
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from configuration import load
from configuration.sections.users import PLACEHOLDER
from server.listener import READ_SECONDS, WRITE_SECONDS
from tests import documents
from tests.ports import free_port
from tests.project.starting import ANY_PORT, serving, start

HASH = "$2y$10$" + "a" * 53
CLOSED_PORT = free_port()


def configuration(text: str) -> Callable[[Path], None]:
    """Write `text` as the configuration."""

    def write(folder: Path) -> None:
        (folder / "config.yaml").write_text(text)

    return write


def the_example(folder: Path) -> None:
    """Copy the example as it is."""
    shutil.copy(documents.ROOT / "config.example.yaml", folder / "config.yaml")


def a_file_in_the_way(folder: Path) -> None:
    """Name a storage folder that can't be made, whoever tries."""
    (folder / "taken").touch()
    configuration("storage: {filesystem: {rootdirectory: taken/data}}\n")(folder)


def an_open_key(folder: Path) -> None:
    """Let everybody read the signing key."""
    configuration("{}\n")(folder)
    (folder / "data" / "keys").mkdir(parents=True)
    (folder / "data" / "keys" / "registry.key").touch(0o644)


def a_folder_in_place_of_the_file(folder: Path) -> None:
    """Make what docker compose makes when the file is missing."""
    (folder / "config.yaml").mkdir()


def nothing(folder: Path) -> None:
    """Write no configuration."""


BROKEN: dict[str, Callable[[Path], None]] = {
    "placeholder": the_example,
    "folder": a_folder_in_place_of_the_file,
    "missing": nothing,
    "storage": a_file_in_the_way,
    "key": an_open_key,
    "database": configuration(f"database: {{url: 'postgresql://registry@127.0.0.1:{CLOSED_PORT}/registry'}}\n"),
}


def as_documented(line: str, folder: Path) -> str:
    """Return a line of the server with the folder, user and ports that the document has."""
    line = line.replace(str(folder), "/srv/registry").replace(str(CLOSED_PORT), "5432")
    return re.sub(r"user id \d+", "user id 1000", line)


@pytest.mark.parametrize("name", documents.NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    folder = (documents.ROOT / name).parent
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", documents.text(name))

    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("name", documents.NAMES)
def test_every_link_to_a_section_finds_its_heading(name: str) -> None:
    for file, section in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", documents.text(name)):
        target = (documents.ROOT / name).parent / file if file else documents.ROOT / name

        assert section in documents.anchors(target)


@pytest.mark.parametrize("name", documents.NAMES)
def test_every_make_target_is_in_the_makefile(name: str) -> None:
    makefile = (documents.ROOT / "Makefile").read_text()

    for target in documents.commands(name, r"(?m)^make (?:-C \S+ )?([\w./-]+)"):
        assert re.search(rf"(?m)^{re.escape(target)}:", makefile), target


@pytest.mark.parametrize("name", documents.NAMES)
def test_every_management_command_exists(name: str) -> None:
    assert set(documents.commands(name, r"manage\.py (\w+)")) <= set(get_commands())


@pytest.mark.parametrize(
    ("name", "example"), [(name, text) for name in documents.NAMES for text in documents.blocks(name, "loads")]
)
def test_every_configuration_loads(name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_DATABASE_URL", raising=False)
    filled = example.replace(PLACEHOLDER, HASH).replace("PUT-A-SECRET-HERE", "s" * 43)
    (tmp_path / "config.yaml").write_text(filled)

    assert load(tmp_path / "config.yaml").warnings == ()


def test_the_configuration_for_compose_is_that_of_the_image_and_an_administrator(tmp_path: Path) -> None:
    added = documents.block("docs/deployment.md", "loads: config.container.yaml").replace(PLACEHOLDER, HASH)
    begun = (documents.ROOT / "config.container.yaml").read_text()
    (tmp_path / "config.yaml").write_text(begun + added)

    loaded = load(tmp_path / "config.yaml")

    assert [user.is_superuser for user in loaded.users or ()] == [True]
    assert not set(yaml.safe_load(begun)) & set(yaml.safe_load(added))


@pytest.mark.parametrize("fault", BROKEN)
def test_a_start_that_cannot_be_says_what_the_document_says(fault: str, tmp_path: Path) -> None:
    BROKEN[fault](tmp_path)
    more = {"CONFIG_PATH": str(tmp_path / "missing.yaml")} if fault == "missing" else {}

    done = start(tmp_path, *ANY_PORT, more=more)

    assert done.returncode == 1
    said = as_documented(done.stderr, tmp_path)
    assert said == documents.block("docs/troubleshooting.md", f"start: {fault}")


def test_a_port_in_use_is_said_as_the_document_says(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration(f"server: {{addr: '127.0.0.1:{port}'}}\n")(tmp_path)

        done = start(tmp_path)

    said = as_documented(done.stderr, tmp_path).replace(f"port {port}", "port 5000")
    assert said == documents.block("docs/troubleshooting.md", "start: port")


def test_a_missing_superuser_is_said_as_the_document_says(tmp_path: Path) -> None:
    configuration("{}\n")(tmp_path)

    with serving(tmp_path):
        said = (tmp_path / "stderr").read_text()

    assert said == documents.block("docs/troubleshooting.md", "warning: superuser")


def test_an_idle_rule_is_said_at_the_start_as_the_document_says(tmp_path: Path) -> None:
    user = f'users: {{admin: {{password: "{HASH}", superuser: true}}}}\n'
    (tmp_path / "config.yaml").write_text(user + 'acl:\n  - {account: developer, name: "*", actions: [pull]}\n')

    with serving(tmp_path):
        said = (tmp_path / "stderr").read_text()

    assert said == documents.block("docs/troubleshooting.md", "start: idle")


def test_every_line_of_the_log_that_is_named_is_one_that_the_code_writes() -> None:
    modules = [path.read_text() for path in documents.ROOT.glob("[a-z]*/**/*.py") if "tests" not in path.parts]
    nodes = (node for module in modules if "log" in module for node in ast.walk(ast.parse(module)))
    written = "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    sentence = r"(?!make |docker |systemctl |enabled: )[a-z]+(?:[,:]? [a-z]+)+"
    inline = documents.inline("docs/security.md") + documents.inline("docs/deployment.md")
    named = [text for text in inline if re.fullmatch(sentence, text)]

    assert "login refused" in named
    # "%s deleted" is written for each kind.
    assert [text for text in named if text not in written and re.sub(r"^\w+", "%s", text) not in written] == []


def test_the_patience_with_a_connection_is_as_documented() -> None:
    words = " ".join(documents.text("docs/troubleshooting.md").split())

    assert f"after {READ_SECONDS} seconds of a push and {WRITE_SECONDS} of a pull" in words


@pytest.mark.parametrize("name", documents.NAMES)
def test_every_module_that_is_named_exists(name: str) -> None:
    modules = [*documents.ROOT.glob("*.py"), *documents.ROOT.glob("[!.]*/**/*.py")]
    files = [str(path.relative_to(documents.ROOT)) for path in modules]
    named = [text for text in documents.inline(name) if re.fullmatch(r"[a-z_0-9/]+\.py", text)]

    assert [text for text in named if not any(f"/{file}".endswith(f"/{text}") for file in files)] == []
