"""A registry whose storage is changed, and a folder to copy it into."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.backup.place import Place, fill
from tests.clients.server import StoredBlob
from tests.faults.commands import Commands, Ended, commands_with
from tests.faults.pusher import Artifact


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the objects of a storage in a folder by key."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("objects/*/*")}


class MovingPlace(Place):
    """A place whose storage can be switched; database and keys stay in its folder."""

    is_migrated = True

    def __init__(self, folder: Path) -> None:
        self.commands: Commands | None = None
        self.storage: dict[str, Any] = {"filesystem": {"rootdirectory": str(folder / "data")}}
        super().__init__(folder)

    def configuration(self) -> dict[str, object]:
        server = {"addr": self.host, "workers": 1, "data_directory": str(self.folder / "own")}
        return super().configuration() | {"server": server, "storage": self.storage}

    def contents(self) -> dict[str, bytes]:
        """Return all objects of the first storage by key."""
        return contents_of(self.data)

    def switch(self, storage: dict[str, Any]) -> None:
        """Let the configuration name another storage."""
        self.storage = storage
        self.config.write_text(yaml.safe_dump(self.configuration()))

    def migrate(self, storage: dict[str, Any], *words: str, failpoints: str = "") -> tuple[int, str]:
        """Run `migratestorage` towards a storage, and return its status and what it said."""
        file = self.folder / "target.yaml"
        file.write_text(yaml.safe_dump({"storage": storage}))
        return self.migrate_by(file, *words, failpoints=failpoints)

    def migrate_by(self, file: Path, *words: str, failpoints: str = "") -> tuple[int, str]:
        """Run `migratestorage` with a file; by `commands`, if there are some, without the second that a start takes."""
        words = ("migratestorage", "--to", str(file), *words)
        if self.commands is not None:
            ended = self.commands.run(*words, failpoints=failpoints)
        else:
            ran = self.manage(*words, failpoints=failpoints)
            ended = Ended(ran.returncode, ran.stdout)
        assert "Traceback" not in ended.output, ended.output
        return ended.status, ended.output


@dataclass(frozen=True)
class Folder:
    """A folder to copy into."""

    path: Path

    @property
    def storage(self) -> dict[str, Any]:
        """The section that names it."""
        return {"filesystem": {"rootdirectory": str(self.path)}}

    def contents(self) -> dict[str, bytes]:
        """Return all objects by key."""
        return contents_of(self.path)


@dataclass(frozen=True)
class Pushed:
    """A registry that was stopped after a push, and the image in it."""

    place: MovingPlace
    image: Artifact


@pytest.fixture
def target(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "target")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[MovingPlace]:
    """Return a registry without rows; it does not run."""
    place = MovingPlace(tmp_path / "place")
    try:
        yield place
    finally:
        place.stop()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """Push an image, leave an upload open, and stop. Tests that change nothing share it."""
    place = MovingPlace(tmp_path_factory.mktemp("stopped"))
    try:
        place.start()
        image = fill(place)
        place.end()
        with commands_with(place.environment()) as place.commands:
            yield Pushed(place, image)
    finally:
        place.stop()


@pytest.fixture
def source(stopped: Pushed) -> Iterator[MovingPlace]:
    """Return the shared registry, whose objects are as they were afterwards."""
    before = stopped.place.contents()
    yield stopped.place
    for key, content in before.items():
        (stopped.place.data / key).write_bytes(content)


def blob_of(place: MovingPlace, digest: str) -> StoredBlob:
    """Return the row of a blob."""
    rows = place.rows(f"SELECT digest, size, key FROM distribution_blob WHERE digest = '{digest}'")
    ((found, size, key),) = rows
    return StoredBlob(str(found), int(size), place.data / str(key))
