"""A failed start: exit status 1, and one line with the cause and the remedy."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.server import ROOT
from tests.ports import free_port
from tests.project.starting import ANY_PORT, manage, serving, start

Prepare = Callable[[Path], None]


def configuration(text: str) -> Prepare:
    """Write `text` as the configuration."""

    def write(folder: Path) -> None:
        (folder / "config.yaml").write_text(text)

    return write


def a_folder(folder: Path) -> None:
    """Make what docker compose makes when the file is missing."""
    (folder / "config.yaml").mkdir()


def the_example(folder: Path) -> None:
    """Copy the example as it is."""
    shutil.copy(ROOT / "config.example.yaml", folder / "config.yaml")


def a_file_in_the_way(folder: Path) -> None:
    """Name a storage folder that can't be made, whoever tries."""
    (folder / "taken").touch()
    configuration("storage: {filesystem: {rootdirectory: taken/data}}\n")(folder)


def a_key_for_all_to_read(folder: Path) -> None:
    """Leave a signing key open."""
    configuration("{}\n")(folder)
    (folder / "data" / "keys").mkdir(parents=True)
    (folder / "data" / "keys" / "registry.key").touch(0o644)


def a_broken_key(folder: Path) -> None:
    """Name a signing key that is none."""
    configuration("auth: {private_key: my.key}\n")(folder)
    (folder / "my.key").touch(0o600)
    (folder / "my.key").write_text("no key\n")


def no_sqlite(folder: Path) -> None:
    """Name a file that is no database."""
    (folder / "no.sqlite3").write_text("no database at all\n" * 100)
    configuration("database: {url: 'sqlite:///no.sqlite3'}\n")(folder)


NOBODY = "bucket_name: b, endpoint_url: 'http://127.0.0.1:1', access_key: a, secret_key: b, region_name: c"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (a_folder, ("config.yaml", "folder", "docker compose", "rmdir")),
        (the_example, ("config.yaml:", "users.admin.password", "placeholder", "manage.py hashpassword")),
        (configuration("server: {port: 1}\n"), ("config.yaml:1", "server.port", "unknown key")),
        (a_file_in_the_way, ("storage.filesystem.rootdirectory", "taken/data", "user id")),
        (configuration("server: {data_directory: /proc/none}\n"), ("server.data_directory", "/proc/none", "user id")),
        (a_key_for_all_to_read, ("registry.key", "chmod 600")),
        (a_broken_key, ("my.key", "not a private key")),
        (configuration(f"storage: {{s3: {{{NOBODY}}}}}\n"), ("storage", "no answer from", "http://127.0.0.1:1")),
        (no_sqlite, ("database.url", "no.sqlite3", "not a database")),
        (
            configuration("database: {url: 'sqlite:////proc/none/a.sqlite3'}\n"),
            ("database.url", "/proc/none", "user id"),
        ),
    ],
)
def test_a_failed_start_explains_itself_in_one_line(tmp_path: Path, prepare: Prepare, words: tuple[str, ...]) -> None:
    prepare(tmp_path)

    ended = start(tmp_path, *ANY_PORT)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert [word for word in words if word not in ended.stderr] == []


def test_a_port_in_use_stops_the_start_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration(f"server: {{addr: '127.0.0.1:{port}'}}\n")(tmp_path)
        ended = start(tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"port {port} of 127.0.0.1 is in use" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_an_address_of_another_machine_stops_the_start(tmp_path: Path) -> None:
    configuration("server: {addr: '192.0.2.1:5000'}\n")(tmp_path)

    ended = start(tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "server.addr: port 5000 of 192.0.2.1 is no address of this machine" in ended.stderr


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    configuration(f"database: {{url: 'postgresql://joe:geheim@127.0.0.1:{port}/images'}}\n")(tmp_path)

    ended = start(tmp_path, *ANY_PORT)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"postgresql://joe@127.0.0.1:{port}/images" in ended.stderr
    assert "Connection refused" in ended.stderr
    assert "geheim" not in ended.stderr


def test_a_configuration_path_that_names_nothing_is_said(tmp_path: Path) -> None:
    ended = start(tmp_path, more={"CONFIG_PATH": "nowhere.yaml"})

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "nowhere.yaml" in ended.stderr


def test_a_name_made_in_the_admin_before_stops_the_start(tmp_path: Path, database: dict[str, str]) -> None:
    configuration("acl: []\n")(tmp_path)
    manage(tmp_path, "migrate", more=database)
    made = manage(
        tmp_path,
        "createsuperuser",
        "--noinput",
        more=database | {"DJANGO_SUPERUSER_NAME": "joe", "DJANGO_SUPERUSER_PASSWORD": "x"},
    )
    configuration(f"users: {{joe: {{password: '$2b$10${'a' * 53}'}}}}\n")(tmp_path)

    ended = start(tmp_path, *ANY_PORT, more=database)

    assert made.returncode == 0, made.stderr
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "users.joe" in ended.stderr


@pytest.mark.parametrize("prepare", [a_folder, the_example])
def test_a_command_says_the_same_in_one_line(tmp_path: Path, prepare: Prepare) -> None:
    prepare(tmp_path)

    ended = manage(tmp_path, "check")

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_a_storage_that_is_not_mounted_stops_the_start(tmp_path: Path, database: dict[str, str]) -> None:
    configuration("storage: {filesystem: {rootdirectory: blobs}}\nserver: {data_directory: data}\n")(tmp_path)
    with serving(tmp_path, more=database):
        manage(tmp_path, "shell", "--command", _INSERT_A_BLOB, more=database)
    shutil.rmtree(tmp_path / "blobs")

    ended = start(tmp_path, *ANY_PORT, more=database)

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "the database names blobs: is the disk mounted?" in ended.stderr
    assert not (tmp_path / "blobs" / "objects").exists()


_INSERT_A_BLOB = """
from distribution.models import Blob
Blob.objects.create(digest="sha256:x", size=1, key="objects/00/x")
"""
