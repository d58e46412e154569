"""Which folders a backup may be in: none that holds something else, and none that is backed up itself."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from backup import folder as backup_folder
from backup import manifest
from backup.errors import BackupError
from backup.transfer import Counts, Transfer
from tests.backup.conftest import BackUp
from tests.backup.test_backup import Push, manifest_of, objects_in, stored
from tests.storages import object_file

pytestmark = pytest.mark.django_db(transaction=True)


def data() -> Path:
    """Return the data folder of the tests."""
    path: Path = settings.REGISTRY.server.data_directory
    return path


def storage() -> Path:
    """Return the folder of the objects' storage."""
    return object_file("")


def refused(folder: Path) -> str:
    """Back up into `folder`, which has to be refused, and return why."""
    with pytest.raises(CommandError) as refusal:
        call_command("backup", str(folder))
    return str(refusal.value)


def test_a_folder_within_the_data_is_refused(prepared: None) -> None:
    assert "within" in refused(data() / "backup")
    assert "within" in refused(data())


def test_a_folder_within_the_storage_is_refused(prepared: None) -> None:
    assert "within" in refused(storage() / "objects" / "backup")
    assert not (storage() / "objects" / "backup").exists()


def test_a_symbolic_link_into_the_data_is_refused(prepared: None, folder: Path) -> None:
    folder.symlink_to(storage())

    assert "within" in refused(folder / "backup")
    assert "within" in refused(folder)


def test_a_way_around_into_the_data_is_refused(prepared: None) -> None:
    assert "within" in refused(storage() / "objects" / ".." / "backup")


def test_a_folder_around_the_data_is_refused(prepared: None) -> None:
    assert "holds" in refused(storage().parent)


def test_a_folder_with_something_else_is_refused_and_left_alone(prepared: None, folder: Path) -> None:
    folder.mkdir()
    (folder / "letters").touch()

    assert "holds letters, which is no backup's" in refused(folder)
    assert [path.name for path in folder.iterdir()] == ["letters"]


def test_an_empty_file_system_may_be_named_by_its_root(prepared: None, back_up: BackUp, folder: Path) -> None:
    (folder / "lost+found").mkdir(parents=True)

    back_up()

    assert manifest_of(folder)["objects"] == 0


def test_a_file_in_the_place_of_the_folder_is_refused(prepared: None, folder: Path) -> None:
    folder.touch()

    assert f"{folder}: can't be written" in refused(folder)


def test_a_folder_that_cannot_be_made_is_refused(prepared: None) -> None:
    assert "can't be written" in refused(Path("/proc/backup"))


def test_the_backup_of_another_registry_is_not_overwritten(push: Push, back_up: BackUp, folder: Path) -> None:
    push("alice/app", "v1")
    back_up()
    file = folder / "backup.json"
    file.write_text(file.read_text().replace(manifest_of(folder)["registry"], "sqlite:////srv/other.sqlite3"))

    assert "holds a backup of another database, sqlite:////srv/other.sqlite3" in refused(folder)
    assert objects_in(folder) == stored()


def test_a_folder_in_which_another_backup_is_at_work_is_refused(prepared: None, folder: Path) -> None:
    with (
        backup_folder.locked(folder),
        pytest.raises(CommandError, match="another backup or restore is using it") as refusal,
    ):
        call_command("backup", str(folder))

    assert refusal.value.returncode == 3


def test_what_does_not_fit_is_said_before_it_is_copied(push: Push, folder: Path, tmp_path: Path) -> None:
    push("alice/app", "v1", b"many bytes")
    listed = tmp_path / "objects.tsv"
    listed.write_text("".join(f"{key}\t{1 << 60}\tsha256:0\n" for key in stored()))
    folder.mkdir()

    with pytest.raises(BackupError, match=r"2048.0 PiB have to be copied there and .* are free; make room"):
        Transfer(listed, storage(), folder, Counts(), may_link=False).run(lambda: None)


def test_no_link_in_the_folder_leads_a_backup_to_another_file(prepared: None, folder: Path, tmp_path: Path) -> None:
    call_command("backup", str(folder))
    victim = tmp_path / "shadow"
    victim.write_text("root:x")
    (folder / f".{manifest.NAME}.new").symlink_to(victim)
    call_command("backup", str(folder))
    (folder / backup_folder.LOCK).unlink()
    (folder / backup_folder.LOCK).symlink_to(victim)

    refused(folder)

    assert victim.read_text() == "root:x"
