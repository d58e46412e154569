"""A file beside SQLite's database, given up when the disk is nearly full and made again when it is not."""

import os
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from collector.jobs import due
from configuration.values import Reserve
from core.db import ballast
from distribution.storage.blob_store import blob_store

BLOCK = 4096
SIZE = ballast.SIZE

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the disk of another database is its own")


@pytest.fixture
def ballast_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the ballast of a database of this test's own is."""
    monkeypatch.setattr(ballast, "database_file", lambda: str(tmp_path / "registry.sqlite3"))
    return tmp_path / "registry.sqlite3.ballast"


@pytest.fixture
def free(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have a disk of a GiB with so many bytes free, of which 64 MiB are to be kept."""
    section = replace(settings.REGISTRY.storage, min_free=Reserve(64 * 2**20, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=section)

    def free(size: int) -> None:
        disk = SimpleNamespace(f_frsize=BLOCK, f_blocks=2**30 // BLOCK, f_bavail=size // BLOCK)
        monkeypatch.setattr(os, "statvfs", lambda _path: disk)

    return free


def long_ago(ballast_file: Path) -> None:
    """Let the file be from before what the next try waits for."""
    then = time.time() - ballast.RETRY_SECONDS - 1
    os.utime(ballast_file, (then, then))


def test_the_ballast_occupies_its_blocks_on_the_disk(ballast_file: Path, free: Callable[[int], None]) -> None:
    free(2**29)

    ballast.make()

    assert ballast_file.stat().st_size == SIZE
    assert ballast_file.stat().st_blocks * 512 >= SIZE
    # On no file system that compresses, or has no room for zeros, it is less.
    assert len(zlib.compress(ballast_file.read_bytes()[: 2**16])) > 2**16
    assert ballast_file.stat().st_mode & 0o777 == 0o600
    assert not ballast.is_due()


def test_the_ballast_is_not_made_out_of_min_free(ballast_file: Path, free: Callable[[int], None]) -> None:
    free(64 * 2**20 + SIZE - BLOCK)

    ballast.make()

    assert not ballast_file.exists()


def test_an_empty_ballast_is_filled(ballast_file: Path, free: Callable[[int], None]) -> None:
    ballast_file.touch()
    long_ago(ballast_file)
    free(2**29)

    ballast.make()

    assert ballast_file.stat().st_size == SIZE


def test_a_sparse_ballast_is_filled(ballast_file: Path, free: Callable[[int], None]) -> None:
    ballast_file.touch()
    os.truncate(ballast_file, SIZE)
    long_ago(ballast_file)
    free(2**29)

    ballast.make()

    assert ballast_file.stat().st_blocks * 512 >= SIZE


def test_the_ballast_is_beside_the_target_of_a_symbolic_link(
    tmp_path: Path, free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("elsewhere").mkdir()
    link, database = tmp_path / "registry.sqlite3", tmp_path / "elsewhere" / "database"
    link.symlink_to(database)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(link))
    free(2**29)

    ballast.make()
    was_made = database.with_name("database.ballast").exists()
    free(0)
    ballast.yield_room(str(link))

    assert was_made
    assert list(database.parent.iterdir()) == []


def test_a_ballast_that_could_not_be_made_is_tried_again_after_an_hour(
    ballast_file: Path, free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(122, "Disk quota exceeded")

    free(2**29)
    monkeypatch.setattr(os, "fsync", refuse)

    ballast.make()

    assert ballast_file.stat().st_size == 0
    assert caplog.messages == ["no ballast for the database"]
    assert not ballast.is_due()
    long_ago(ballast_file)
    assert ballast.is_due()


def test_no_ballast_is_due_in_a_read_only_folder(
    ballast_file: Path, free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(2**29)
    was_due = ballast.is_due()
    # Root may write into any.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    assert was_due
    assert not ballast.is_due()


@pytest.mark.parametrize(("size", "is_kept"), [(SIZE // 4, True), (SIZE // 4 - BLOCK, False), (0, False)])
def test_the_ballast_is_removed_when_less_than_a_quarter_of_its_size_is_free(
    ballast_file: Path, free: Callable[[int], None], size: int, *, is_kept: bool
) -> None:
    ballast_file.touch()
    free(size)

    ballast.yield_room(str(ballast_file.with_suffix("")))

    assert ballast_file.exists() == is_kept


@pytest.mark.django_db(transaction=True)
def test_a_transaction_on_a_full_disk_removes_the_ballast(free: Callable[[int], None]) -> None:
    ballast_file = Path(f"{connection.settings_dict['NAME']}.ballast")
    ballast_file.touch()
    free(0)

    with transaction.atomic():
        assert not ballast_file.exists()


@pytest.mark.django_db(transaction=True)
def test_the_jobs_make_the_ballast_again(ballast_file: Path, free: Callable[[int], None]) -> None:
    blob_store().prepare()
    free(2**29)
    was_due = due.is_anything_due()

    assert due.run_due()

    assert was_due
    assert ballast_file.exists()
    assert not due.is_anything_due()
