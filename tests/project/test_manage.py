"""`manage.py`: the file that a command line names is the configuration of the process."""

from pathlib import Path

import bcrypt
import pytest

from registry_project.version import VERSION
from tests.project.starting import manage


def test_loadconfig_works_on_the_database_of_the_file_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "my.yaml").write_text('acl: [{anonymous: true, name: "*", actions: [pull]}]\n')

    migrated = manage(tmp_path, "migrate", more={"CONFIG_PATH": "other/my.yaml"})
    loaded = manage(tmp_path, "loadconfig", "other/my.yaml")
    checked = manage(tmp_path, "loadconfig", "--check", "--config", "other/my.yaml")

    assert (migrated.returncode, checked.returncode) == (0, 0), migrated.stderr
    assert loaded.stdout.splitlines()[0] == "+ rule everybody may pull *"
    assert (tmp_path / "other" / "data" / "registry.sqlite3").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_loadconfig_before_migrate_says_what_to_run(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text("acl: []\n")

    ended = manage(tmp_path, "loadconfig", more=database)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "manage.py migrate" in ended.stderr


def test_a_file_that_is_not_there_is_named_and_no_variable(tmp_path: Path) -> None:
    ended = manage(tmp_path, "loadconfig", "missing.yaml")

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"{tmp_path}/missing.yaml: no such file")


def test_a_database_that_a_command_makes_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")
    (tmp_path / "data").mkdir(mode=0o755)

    manage(tmp_path, "migrate")

    made = [path for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert "registry.sqlite3" in {path.name for path in made}
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_check_names_the_file_and_counts_its_warnings(tmp_path: Path) -> None:
    rule = '{anonymous: true, name: "*", actions: [pull]}'
    (tmp_path / "config.yaml").write_text(f"acl:\n  - {rule}\n  - {rule}\n")

    checked = manage(tmp_path, "check")

    assert checked.returncode == 0
    assert f"configuration: {tmp_path}/config.yaml\n" in checked.stdout
    assert "the same as the rule of line 2" in checked.stderr
    assert "identified 1 issue " in checked.stderr + checked.stdout


def test_loadconfig_without_a_file_says_so(tmp_path: Path) -> None:
    ended = manage(tmp_path, "loadconfig")

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "manage.py loadconfig config.yaml" in ended.stderr


def test_a_password_is_hashed_although_the_configuration_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("users: {admin: {password: PUT-A-BCRYPT-HASH-HERE}}\n")

    made = manage(tmp_path, "hashpassword", "--cost", "4", text="correct horse\n")

    assert made.stdout.startswith("$2b$04$"), made.stderr
    assert bcrypt.checkpw(b"correct horse", made.stdout.strip().encode())


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_the_version_is_told_whatever_the_configuration_says(tmp_path: Path, argument: str) -> None:
    (tmp_path / "config.yaml").write_text("no: configuration\n")

    told = manage(tmp_path, argument)

    assert (told.returncode, told.stdout) == (0, f"{VERSION}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_help_shows_our_commands_first_each_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")

    shown = manage(tmp_path, "help").stdout.splitlines()

    own = shown[shown.index("The registry's commands:") + 1 : shown.index("Useful Django commands:") - 1]
    assert {"loadconfig", "gc", "fsck", "rotatekey", "hashpassword", "version"} <= {line.split()[0] for line in own}
    assert all(line.endswith((".", "…")) and len(line) <= 120 for line in own)
    assert "migrate" in shown[shown.index("Useful Django commands:") + 4]
    assert "testserver" in shown[-1]


@pytest.mark.parametrize("password", ["", "x" * 73, "a\0b"])
def test_a_password_that_bcrypt_cannot_hash_is_refused(tmp_path: Path, password: str) -> None:
    ended = manage(tmp_path, "hashpassword", "-", text=f"{password}\n")

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
