"""What root makes in the data folder belongs to the folder's owner, as whom the server runs afterwards."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.databases import FILE
from tests.project.starting import manage, serving

SERVICE = 65534
CONFIGURATION = 'acl: [{anonymous: true, name: "*", actions: [pull]}]\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a configuration, whose data belong to the service."""
    (tmp_path / "data").mkdir(mode=0o700)
    for path in (tmp_path, tmp_path / "data"):
        os.chown(path, SERVICE, SERVICE)
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    return tmp_path


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with all tables, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    (folder / "config.yaml").write_text(CONFIGURATION)
    assert manage(folder, "migrate").returncode == 0
    return folder / "data" / FILE


def strangers(folder: Path) -> list[str]:
    """Return what does not belong to the service."""
    return [str(path) for path in folder.rglob("*") if owner_of(path) != SERVICE]


def owner_of(path: Path) -> int:
    """Return the user id of the owner; the service's when a process has just removed it."""
    with suppress(FileNotFoundError):
        return path.stat().st_uid
    return SERVICE


@pytest.mark.parametrize(
    "command",
    [
        ["loadconfig"],
        ["gc"],
        ["fsck"],
        ["createsuperuser", "--noinput", "--name", "root"],
        ["shell", "-c", "from accounts.models import Account; Account.objects.exists()"],
    ],
    ids=lambda command: command[0],
)
def test_a_command_as_the_first_of_all_leaves_nothing_of_roots(folder: Path, command: list[str]) -> None:
    manage(folder, *command)

    assert (folder / "data" / FILE).exists()
    assert strangers(folder / "data") == []


def test_migrate_and_the_commands_after_it_leave_nothing_of_roots(folder: Path) -> None:
    manage(folder, "migrate")
    assert (folder / "data" / FILE).exists()
    assert strangers(folder / "data") == []

    assert manage(folder, "loadconfig").returncode == 0
    assert manage(folder, "createsuperuser", "--noinput", "--name", "root").returncode == 0
    assert strangers(folder / "data") == []


def test_a_start_leaves_nothing_of_roots(folder: Path, database: dict[str, str]) -> None:
    (folder / "config.yaml").unlink()

    with serving(folder, more=database):
        found = strangers(folder)

    assert found == [str(folder / "stderr")]
    assert len(list((folder / "data" / "objects").iterdir())) == 256


@pytest.mark.parametrize("suffix", [".lock", ".turn", ".renewals", "-wal", "-shm"])
def test_a_link_of_the_service_leads_root_to_no_other_file(folder: Path, migrated: Path, suffix: str) -> None:
    os.chown(shutil.copy(migrated, folder / "data"), SERVICE, SERVICE)
    victim = folder / "shadow"
    victim.write_text("root:x")
    (folder / "data" / f"{FILE}{suffix}").symlink_to(victim)

    for command in (["migrate"], ["loadconfig"], ["gc"], ["createsuperuser", "--noinput", "--name", "root"]):
        manage(folder, *command)
    with suppress(AssertionError), serving(folder):
        pass

    assert (victim.read_text(), victim.stat().st_uid) == ("root:x", 0)
