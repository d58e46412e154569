"""A start recognises a SQLite database without its write-ahead log, as a plain copy is, and a crash is none."""

import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.backup.place import LAYER, Place
from tests.clients.server import kill_group
from tests.documents import block
from tests.faults.pusher import Artifact

SAID = "warning: the database is older than the storage: no row names the object objects/"
# Of the key and the moment in the message, what differs each time.
MADE = r"[0-9a-f]{2}/[0-9a-f]{32} of [-0-9]{10} [:0-9]{8} UTC"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Run a registry with an image."""
    place = Place(tmp_path)
    if not place.database_url.startswith("sqlite"):
        place.stop()
        pytest.skip("PostgreSQL keeps its log itself")
    try:
        place.start()
        place.pusher().upload_whole(LAYER)
        push(place, "v1")
        yield place
    finally:
        place.stop()


def push(place: Place, tag: str) -> None:
    place.pusher().push(Artifact(LAYER, (b"an image ", tag.encode())), tag)


def kill(place: Place) -> None:
    """Kill master and workers at once, and return once they have left the database."""
    assert place.process is not None
    kill_group(place.process.pid)
    place.process.wait()


def said_by_a_start(place: Place) -> str:
    """Start the server once more and return what it says."""
    before = len(place.log_file.read_text())
    place.start()
    return place.log_file.read_text()[before:]


def remove_log(place: Place) -> None:
    """Remove the write-ahead log, which a server that was killed leaves behind."""
    for suffix in ("-wal", "-shm"):
        (place.folder / f"registry.sqlite3{suffix}").unlink(missing_ok=True)


def test_a_copy_of_the_file_alone_is_recognised(place: Place) -> None:
    place.end()
    place.start()
    copy = Path(shutil.copy(place.folder / "registry.sqlite3", place.folder / "copy"))
    push(place, "v2")
    place.end()
    remove_log(place)
    copy.replace(place.folder / "registry.sqlite3")

    said = said_by_a_start(place)
    (documented,) = block("docs/backup.md", "warning: old database").splitlines()
    assert SAID in said
    assert re.sub(MADE, "…", documented.strip()) in re.sub(MADE, "…", said)


def test_an_empty_database_beside_a_full_storage_is_recognised(place: Place) -> None:
    place.end()
    remove_log(place)
    (place.folder / "registry.sqlite3").rename(place.folder / "elsewhere")
    place.does("migrate")

    assert SAID in said_by_a_start(place)


def test_a_clean_stop_is_none(place: Place) -> None:
    place.end()

    assert not (place.folder / "registry.sqlite3-wal").exists()
    assert SAID not in said_by_a_start(place)


def test_a_stop_leaves_a_complete_file_also_when_workers_were_killed(place: Place) -> None:
    for worker in place.workers():
        os.kill(worker, signal.SIGKILL)

    place.end()

    assert not (place.folder / "registry.sqlite3-wal").exists()
    with closing(sqlite3.connect(place.folder / "registry.sqlite3")) as database:
        assert database.execute("SELECT name FROM distribution_tag").fetchall() == [("v1",)]


def test_a_crash_in_the_middle_of_an_upload_is_none(place: Place) -> None:
    alice = place.pusher()
    location = alice.start()
    alice.expect(202, "PATCH", location, b"begun and left")
    kill(place)

    assert (place.folder / "registry.sqlite3-wal").exists()
    assert SAID not in said_by_a_start(place)


def test_a_crash_and_a_command_that_brought_the_log_in_are_none(place: Place) -> None:
    push(place, "v2")
    kill(place)
    place.does("gc")

    assert not (place.folder / "registry.sqlite3-wal").exists()
    assert SAID not in said_by_a_start(place)


def test_an_older_object_of_nobody_is_left_to_fsck(place: Place) -> None:
    place.end()
    orphan = place.data / "objects" / "ab" / ("ab" * 16)
    orphan.touch()
    os.utime(orphan, (0, 0))

    assert SAID not in said_by_a_start(place)
