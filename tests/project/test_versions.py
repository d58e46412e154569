"""A database of another version: an older one is brought up to date, a newer one is left alone."""

from pathlib import Path

import pytest

from tests.project.starting import ANY_PORT, manage, serving, start

_FUTURE = """
from django.db.migrations.recorder import MigrationRecorder
from django.db import connection
MigrationRecorder(connection).record_applied("distribution", "9999_future")
"""


@pytest.fixture
def newer(tmp_path: Path, database: dict[str, str]) -> dict[str, str]:
    """Return the environment of a database that a newer version has migrated."""
    (tmp_path / "config.yaml").write_text("acl: []\n")
    manage(tmp_path, "migrate", more=database)
    made = manage(tmp_path, "shell", "--command", _FUTURE, more=database)
    assert made.returncode == 0, made.stderr
    return database


def test_a_start_on_a_newer_database_is_refused(tmp_path: Path, newer: dict[str, str]) -> None:
    ended = start(tmp_path, *ANY_PORT, more=newer)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("database.url: ")
    assert "of a newer version of the registry (distribution.9999_future); start that version" in ended.stderr


@pytest.mark.parametrize("command", ["gc", "fsck", "runjobs --once", "loadconfig", "migrate", "backup made"])
def test_a_command_that_writes_refuses_a_newer_database(tmp_path: Path, newer: dict[str, str], command: str) -> None:
    ended = manage(tmp_path, *command.split(), more=newer)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "(distribution.9999_future); start that version, or restore a backup" in ended.stderr
    assert not (tmp_path / "made").exists()


def test_a_start_says_what_it_applied_to_an_older_database(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text("acl: []\n")
    manage(tmp_path, "migrate", more=database)
    manage(tmp_path, "migrate", "gc", "0004", more=database)

    with serving(tmp_path, more=database) as upgraded:
        pass
    with serving(tmp_path, more=database) as again:
        pass

    assert "database: applied gc.0005_backup\n" in upgraded.said
    assert "database: applied" not in again.said
