"""`manage.py restore`: what a backup was made of is there again, bit for bit, and nothing else is overwritten."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.backup.place import Place, fill
from tests.databases import drop_database
from tests.faults.pusher import Artifact


@dataclass(frozen=True)
class Made:
    """A backup, the place that it is of, and an image in it. Tests that change the backup take a copy."""

    place: Place
    folder: Path
    image: Artifact


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    home = tmp_path_factory.mktemp("backed-up")
    place = Place(home / "place")
    try:
        place.start()
        image = fill(place)
        place.does("backup", home / "backup")
        yield Made(place, home / "backup", image)
    finally:
        place.stop()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Place]:
    """Return an empty place."""
    place = Place(tmp_path / "target")
    try:
        yield place
    finally:
        place.stop()


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    """Return a copy of the backup, to be damaged."""
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


def state(backup: Path) -> Path:
    """Return the folder with the database."""
    (found,) = backup.glob("20*")
    return found


def change(backup: Path, **values: object) -> None:
    """Change what backup.json says."""
    file = backup / "backup.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def is_empty(place: Place) -> bool:
    """Tell whether nothing was restored."""
    if place.database_url.startswith("sqlite"):
        return not place.objects() and not (place.folder / "registry.sqlite3").exists()
    with psycopg.connect(place.database_url) as database:
        tables = database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    return not place.objects() and tables == (0,)


def test_what_was_backed_up_pulls_bit_for_bit(made: Made, target: Place) -> None:
    said = target.does("restore", made.folder)
    target.start()

    assert target.pusher().pull(made.image, "kept")
    assert target.does("fsck", "--deep") == "no problems\n"
    assert "keys: restored" in said
    assert "next: start the server" in said


def test_a_backup_on_a_read_only_disk_is_restored(target: Place, copy: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    if subprocess.run(["mount", "--bind", "-o", "ro", copy, copy], capture_output=True, check=False).returncode:
        pytest.skip("nothing is mounted here")
    try:
        target.does("restore", copy)
    finally:
        subprocess.run(["umount", copy], check=True)


def test_tokens_of_before_count_again(made: Made, target: Place) -> None:
    token = made.place.token("alice", "repository:alice/shared:pull")

    target.does("restore", made.folder)
    target.start()

    answer = target.request("GET", "/v2/alice/shared/tags/list", authorization=f"Bearer {token}")
    assert answer.status == 200


def test_uploads_leases_and_objects_of_nobody_are_not_restored(made: Made, target: Place) -> None:
    target.does("restore", made.folder)

    tables = ("distribution_upload", "distribution_segment", "distribution_trash", "gc_lease")
    keys = {key for (key,) in target.rows("SELECT key FROM distribution_blob")}
    assert [target.rows(f"SELECT * FROM {table}") for table in tables] == [[], [], [], []]
    assert set(target.objects()) == keys


def test_a_restored_database_has_a_new_permissions_version(made: Made, target: Place) -> None:
    target.does("restore", made.folder)

    epoch = "SELECT value FROM accounts_rightsepoch"
    assert target.rows(epoch) != made.place.rows(epoch)


def test_a_configuration_that_is_there_stays(made: Made, target: Place) -> None:
    before = target.config.read_bytes()

    target.does("restore", made.folder)

    assert target.config.read_bytes() == before


def test_keys_go_to_where_the_configuration_says(made: Made, target: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = target.folder / "mounted"
    named = target.configuration() | {"auth": {"private_key": f"{keys}/my.key"}}
    # The start writes it again.
    monkeypatch.setattr(target, "configuration", lambda: named)
    target.config.write_text(yaml.safe_dump(named))

    target.does("restore", made.folder)

    theirs = made.place.data / "keys"
    assert (keys / "my.key").read_bytes() == (theirs / "registry.key").read_bytes()
    assert (keys / "my.next.key").read_bytes() == (theirs / "registry.next.key").read_bytes()
    assert (target.data / "keys" / "secret.key").read_bytes() == (theirs / "secret.key").read_bytes()
    assert stat.S_IMODE((keys / "my.key").stat().st_mode) == 0o600
    target.start()


def test_keys_that_are_there_stay(made: Made, target: Place) -> None:
    keys = target.data / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for name in ("registry.key", "secret.key"):
        (keys / name).touch(0o600)
        (keys / name).write_text("another key, of 32 characters and more\n")

    said = target.does("restore", made.folder)

    assert "keys: there were some already, they stay" in said
    assert {path.read_text() for path in keys.iterdir()} == {"another key, of 32 characters and more\n"}


def test_a_missing_configuration_is_restored(target: Place, copy: Path) -> None:
    kept = state(copy) / "config.yaml"
    kept.write_bytes(target.config.read_bytes())
    target.config.unlink()

    said = target.does("restore", copy)

    assert f"configuration: restored as {target.config}; its paths are those of the backup" in said
    assert target.config.read_bytes() == kept.read_bytes()
    assert stat.S_IMODE(target.config.stat().st_mode) == 0o600


def test_a_restore_that_is_refused_leaves_nothing(target: Place, copy: Path) -> None:
    (state(copy) / "config.yaml").write_bytes(target.config.read_bytes())
    broken = next(copy.glob("objects/*/*"))
    broken.write_bytes(b"more")
    target.config.unlink()

    target.refuses("restore", copy)

    assert [path for path in target.folder.rglob("*") if path != target.log_file] == []


def test_all_that_is_in_the_way_is_named(made: Made, target: Place) -> None:
    target.does("migrate")
    target.does("loadconfig", target.config)
    (target.data / "objects" / "ab").mkdir(parents=True)
    (target.data / "objects" / "ab" / "somebody's").touch()

    said = target.refuses("restore", made.folder)

    assert "has objects already" in said
    assert "this database has" in said


def test_what_is_to_be_done_next_names_the_configuration_too(made: Made, target: Place) -> None:
    named = target.config.rename(target.folder / "other.yaml")

    said = target.does("restore", made.folder, "--config", named)

    assert f"`manage.py fsck --deep --config {named}`" in said


def test_objects_are_copied_unless_links_are_asked_for(made: Made, target: Place, tmp_path: Path) -> None:
    target.does("restore", made.folder)
    linked = Place(tmp_path / "linked")
    said = linked.does("restore", "--link", made.folder)
    drop_database(linked.database_url)

    assert {path.stat().st_nlink for path in target.data.glob("objects/*/*")} == {1}
    assert {path.stat().st_nlink for path in linked.data.glob("objects/*/*")} == {3}
    assert "0 copied" in said


def test_a_database_with_rows_is_not_overwritten(made: Made, target: Place) -> None:
    target.does("migrate")
    target.does("loadconfig", target.config)
    before = target.rows("SELECT * FROM accounts_account")

    said = target.refuses("restore", made.folder)

    assert "already" in said
    assert target.rows("SELECT * FROM accounts_account") == before
    assert target.objects() == set()


def test_a_storage_with_objects_is_not_written_into(made: Made, target: Place) -> None:
    (target.data / "objects" / "ab").mkdir(parents=True)
    (target.data / "objects" / "ab" / "somebody's").touch()

    said = target.refuses("restore", made.folder)

    assert f"storage: {target.data} has objects already, as objects/ab/somebody's" in said


def test_a_log_that_an_old_database_left_is_not_taken_for_the_new_ones(made: Made, target: Place) -> None:
    if not target.database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL keeps its log itself")
    log = target.folder / "registry.sqlite3-wal"
    log.write_bytes(bytes(4096))

    target.does("restore", made.folder)

    assert not log.exists()
    assert target.does("fsck", "--deep") == "no problems\n"


def test_a_server_that_runs_is_not_restored_under(made: Made, target: Place) -> None:
    target.start()

    said = target.refuses("restore", made.folder)

    assert "Stop the server first" in said
    assert f"port {target.port} of 127.0.0.1 is in use" in said


def test_a_database_in_use_is_not_replaced(made: Made, target: Place) -> None:
    if not target.database_url.startswith("sqlite"):
        with psycopg.connect(target.database_url):
            assert "others are connected to this database" in target.refuses("restore", made.folder)
        return
    target.does("migrate")
    with closing(sqlite3.connect(target.folder / "registry.sqlite3")) as user:
        user.execute("SELECT count(*) FROM django_migrations").fetchone()

        assert "is using this database" in target.refuses("restore", made.folder)


def test_an_object_of_another_size_is_found_before_anything_is_restored(made: Made, target: Place, copy: Path) -> None:
    broken = next(copy.glob("objects/*/*"))
    broken.write_bytes(broken.read_bytes() + b"more")

    said = target.refuses("restore", copy)

    assert f"its object {broken} has" in said
    assert is_empty(target)


def test_a_missing_object_is_found_before_anything_is_restored(target: Place, copy: Path) -> None:
    missing = next(copy.glob("objects/*/*"))
    missing.unlink()

    assert f"its object {missing} is missing" in target.refuses("restore", copy)
    assert is_empty(target)


def test_changed_bytes_are_found_by_verify(target: Place, copy: Path) -> None:
    broken = next(copy.glob("objects/*/*"))
    broken.write_bytes(bytes(broken.stat().st_size))

    assert f"its object {broken} has other bytes" in target.refuses("restore", "--verify", copy)
    assert is_empty(target)


def test_a_changed_database_is_found(target: Place, copy: Path) -> None:
    database = state(copy) / "database"
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(content)

    assert f"{database}: damaged since the backup was made" in target.refuses("restore", copy)
    assert is_empty(target)


def test_a_folder_without_a_complete_backup_is_refused(target: Place, copy: Path, tmp_path: Path) -> None:
    (copy / "backup.json").unlink()

    assert "holds no complete backup" in target.refuses("restore", copy)
    assert "no such folder" in target.refuses("restore", tmp_path / "nowhere")


def test_a_backup_of_a_newer_version_is_refused(target: Place, copy: Path) -> None:
    change(copy, migrations=["distribution.0999_of_the_future"])

    assert "made by a newer version" in target.refuses("restore", copy)
    assert is_empty(target)


def test_a_backup_of_another_kind_of_database_is_refused(target: Place, copy: Path) -> None:
    change(copy, database="mysql")

    assert "name a mysql database" in target.refuses("restore", copy)


def test_a_backup_without_its_objects_is_restored_to_the_cloud_that_has_them(target: Place, copy: Path) -> None:
    change(copy, storage="s3")

    assert "restore with storage.s3" in target.refuses("restore", copy)


def test_a_backup_of_an_earlier_version_is_brought_up_to_date(target: Place, tmp_path: Path) -> None:
    old = Place(tmp_path / "old")
    try:
        old.does("migrate")
        old.does("migrate", "gc", "0002")
        (old.data / "objects" / "00").mkdir(parents=True)
        old.does("backup", tmp_path / "of-old")
    finally:
        drop_database(old.database_url)

    target.does("restore", tmp_path / "of-old")

    assert "[ ]" not in target.does("showmigrations")
    assert target.rows("SELECT * FROM gc_scrub") == []
