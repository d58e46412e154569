"""The server starts: the first time, again, twice at once, and stops."""

import http.client
import json
import re
import stat
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.conftest import database_of
from tests.project.starting import Running, begin, complaints, manage, serving, start, wait_for

Answer = tuple[int, Mapping[str, str], bytes]


def ask(server: Running, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request; return status, headers and body."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def password_in(said: str) -> str:
    """Return the password that the first start shows."""
    found = re.search(r"^ +password: +(\S+)$", said, re.MULTILINE)
    assert found
    return found[1]


def basic(password: str) -> dict[str, str]:
    """Return the header of a login as the first administrator."""
    return {"Authorization": f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class First:
    """What was seen of a first start in `folder`, until the server stopped."""

    folder: Path
    database: dict[str, str]
    password: str
    statuses: tuple[int, int]
    modes: dict[Path, int]
    exit_status: int
    complaints: list[str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    """Start a server in an empty folder, log in rightly and wrongly, and stop it."""
    folder = tmp_path_factory.mktemp("first")
    database = database_of(folder)
    with serving(folder, more=database) as server:
        password = password_in(server.said)
        right, wrong = (ask(server, "GET", "/v2/token", basic(word))[0] for word in (password, "another"))
        written = [*folder.glob("data/*.sqlite3*"), *folder.glob("data/keys/*.key"), folder / "data"]
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (*written, folder / "config.yaml")}
        exit_status = server.stop()
    return First(folder, database, password, (right, wrong), modes, exit_status, complaints(folder))


def test_the_first_start_shows_a_password_that_logs_in(first: First) -> None:
    assert first.statuses == (200, 401)


def test_the_first_configuration_is_readable_by_its_owner_only(first: First) -> None:
    file = first.folder / "config.yaml"

    assert first.modes[file] == 0o600
    assert first.password not in file.read_text()


def test_what_a_start_writes_is_readable_by_its_owner_only(first: First) -> None:
    modes = {path: mode for path, mode in first.modes.items() if path.name != "config.yaml"}

    assert len(modes) >= 3
    assert all(mode & 0o077 == 0 for path, mode in modes.items() if path.suffix != ".lock")


def test_the_server_stops_when_asked(first: First) -> None:
    assert first.exit_status == 0
    assert [json.loads(line)["message"] for line in first.complaints] == ["login refused"]


def test_a_second_start_shows_no_password_and_imports_nothing(first: First) -> None:
    with serving(first.folder, more=first.database) as second:
        status, _, _ = ask(second, "GET", "/v2/token", basic(first.password))

    assert second.said == f"registry listening on http://127.0.0.1:{second.port}\n"
    assert complaints(first.folder) == first.complaints
    assert status == 200
    assert manage(first.folder, "loadconfig", "--check", more=first.database).returncode == 0


def test_two_starts_at_once_prepare_and_import_once(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text('acl: [{anonymous: true, name: "*", actions: [pull]}]\n')

    with begin(tmp_path, database) as one, begin(tmp_path, database) as other:
        servers = [wait_for(process, tmp_path) for process in (one, other)]
        statuses = [ask(server, "GET", "/health")[0] for server in servers]

    assert statuses == [200, 200]
    assert sorted(server.said.count("config.yaml: 1 added") for server in servers) == [0, 1]


def test_two_first_starts_at_once_make_one_configuration(tmp_path: Path, database: dict[str, str]) -> None:
    with begin(tmp_path, database) as one, begin(tmp_path, database) as other:
        servers = [wait_for(process, tmp_path) for process in (one, other)]
        shown = [server for server in servers if "password:" in server.said]
        statuses = [ask(server, "GET", "/v2/token", basic(password_in(shown[0].said)))[0] for server in servers]

    assert len(shown) == 1
    assert statuses == [200, 200]


def test_without_a_superuser_the_start_says_once_how_to_make_one(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text("users: {}\n")

    with serving(tmp_path, more=database):
        said = (tmp_path / "stderr").read_text()

    assert said.count("createsuperuser") == 1


def test_an_empty_folder_is_left_empty_by_a_check_of_gunicorns_configuration(tmp_path: Path) -> None:
    checked = start(tmp_path, "--check-config")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert not (tmp_path / "config.yaml").exists()
