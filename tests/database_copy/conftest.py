"""A registry on SQLite, and an empty PostgreSQL to copy it into."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.backup.place import Place, fill
from tests.databases import FILE, drop_database, empty_database
from tests.faults.pusher import Artifact
from tests.storages import copy_objects, is_s3


class SQLitePlace(Place):
    """A place on SQLite with all tables, whatever database the tests run on."""

    is_migrated = True

    def __init__(self, folder: Path) -> None:
        """Make the database."""
        with pytest.MonkeyPatch.context() as patched:
            patched.delenv("REGISTRY_DATABASE_URL", raising=False)
            super().__init__(folder)

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / FILE


@dataclass(frozen=True)
class Pushed:
    """A registry that was stopped after a push, and the image in it."""

    folder: Path
    image: Artifact


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    """Push an image, and leave an upload open. Tests take a copy."""
    place = SQLitePlace(tmp_path_factory.mktemp("pushed"))
    place.start()
    try:
        image = fill(place)
    finally:
        place.end()
    # Tests copy the file alone.
    assert not place.file.with_name(f"{FILE}-wal").exists()
    return Pushed(place.folder, image)


@pytest.fixture
def place(target: str, tmp_path: Path) -> Iterator[SQLitePlace]:
    """Return a registry without rows; it does not run."""
    place = SQLitePlace(tmp_path / "place")
    try:
        yield place
    finally:
        place.end()


@pytest.fixture
def image(place: SQLitePlace, pushed: Pushed) -> Artifact:
    """Put a copy of the pushed image into the place."""
    shutil.copy(pushed.folder / FILE, place.file)
    shutil.copytree(pushed.folder / "data", place.data)
    if is_s3():
        copy_objects(pushed.folder / "data", place.data)
    return pushed.image


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database."""
    if not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        pytest.skip("SQLite has no server")
    url = empty_database(tmp_path)
    try:
        yield url
    finally:
        drop_database(url)


@pytest.fixture
def database(target: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Look into the target."""
    with psycopg.connect(target, autocommit=True) as connection:
        yield connection
