"""A place to back up from and to restore into: a configuration, a folder, a database and a port of its own."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests import preloaded
from tests.clients.server import ROOT, Server
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.storages import objects_of

PATIENCE_SECONDS = 120
LAYER = b"a layer that others mount"


class Place(Server):
    """A server that may not run; no jobs beside it."""

    # `restore` takes an empty database only.
    is_migrated = False

    def __init__(self, folder: Path) -> None:
        """Write the configuration, and start nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder)
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(self.configuration()))

    def configuration(self) -> dict[str, object]:
        few = {"addr": self.host, "workers": 1}
        return super().configuration() | {"server": few, "garbage_collector": {"enabled": False}}

    def manage(self, *words: object, failpoints: str = "") -> subprocess.CompletedProcess[str]:
        """Run `manage.py` as an operator does; what it says comes in one."""
        return preloaded.run(
            [sys.executable, str(ROOT / "manage.py"), *map(str, words)],
            cwd=self.folder,
            env=self.environment() | {"REG_FAILPOINTS": failpoints},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
        )

    def does(self, *words: object) -> str:
        """Run `manage.py`, which has to end well, and return what it said."""
        ended = self.manage(*words)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def refuses(self, *words: object) -> str:
        """Run `manage.py`, which has to refuse, and return what it said: a few lines and no traceback."""
        ended = self.manage(*words)
        assert ended.returncode == 1, ended.stdout
        assert "Traceback" not in ended.stdout
        return ended.stdout

    def pusher(self, repository: str = SHARED) -> Pusher:
        """Return a client."""
        return Pusher(self, repository)

    def contents(self) -> dict[str, bytes]:
        """Return all stored objects by key."""
        folder = objects_of(self.data)
        return {key: (folder / key).read_bytes() for key in self.objects()}


def fill(place: Place) -> Artifact:
    """Push an image into a running place, and leave an upload open."""
    alice = place.pusher()
    image = Artifact(LAYER, (b"two ", b"pieces"))
    alice.upload_whole(LAYER)
    alice.push(image, "kept")
    location = alice.start()
    alice.expect(202, "PATCH", location, b"begun and left")
    return image
