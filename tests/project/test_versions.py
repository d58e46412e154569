"""A database of another version: an older one is brought up to date, a newer one is left alone."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.conftest import database_of
from tests.project.starting import ANY_PORT, manage, serving, start

_FUTURE = """
from django.db.migrations.recorder import MigrationRecorder
from django.db import connection
MigrationRecorder(connection).record_applied("distribution", "9999_future")
"""


@dataclass(frozen=True, slots=True)
class Newer:
    """A folder whose database, named by an environment, a newer version has migrated."""

    folder: Path
    database: dict[str, str]


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Newer:
    """Make it once: nothing here may change it."""
    folder = tmp_path_factory.mktemp("newer")
    database = database_of(folder)
    (folder / "config.yaml").write_text("acl: []\n")
    manage(folder, "migrate", more=database)
    made = manage(folder, "shell", "--command", _FUTURE, more=database)
    assert made.returncode == 0, made.stderr
    return Newer(folder, database)


def test_a_start_on_a_newer_database_is_refused(newer: Newer) -> None:
    ended = start(newer.folder, *ANY_PORT, more=newer.database)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("database.url: ")
    assert "of a newer version of the registry (distribution.9999_future); start that version" in ended.stderr


@pytest.mark.parametrize("command", ["gc", "fsck", "runjobs --once", "loadconfig", "migrate", "backup made"])
def test_a_command_that_writes_refuses_a_newer_database(newer: Newer, command: str) -> None:
    ended = manage(newer.folder, *command.split(), more=newer.database)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "(distribution.9999_future); start that version, or restore a backup" in ended.stderr
    assert not (newer.folder / "made").exists()


def test_a_start_says_what_it_applied_to_an_older_database(tmp_path: Path, database: dict[str, str]) -> None:
    (tmp_path / "config.yaml").write_text("acl: []\n")
    manage(tmp_path, "migrate", more=database)
    manage(tmp_path, "migrate", "gc", "0004", more=database)

    with serving(tmp_path, more=database) as upgraded:
        pass
    with serving(tmp_path, more=database) as again:
        pass

    assert "database: applied gc.0005_backup" in upgraded.said
    assert "database: applied" not in again.said
