"""Repositories that come and go: emptied by those who pushed, deleted by somebody else."""

import json
import subprocess
import sys

from tests.clients.server import ROOT
from tests.images import digest_of, manifest
from tests.stress.actor import Actor
from tests.stress.world import PASSING, WRECKED, World

PAUSE_SECONDS = 3.0


class _Unhurried(Actor):
    """Leaves the collectors their turn to write, which on SQLite comes late beside many writers."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.pause_seconds = PAUSE_SECONDS


class Passer(_Unhurried):
    """Pushes an image of its own, finds the repository in the catalog, and deletes the image."""

    def round(self) -> None:
        """Let the repository come, and go unless another one is there."""
        payload = self.push_image(PASSING, "")
        self.client.get(PASSING, self.tag(payload), None)
        listed = json.loads(self.client.connection.send("GET", "/v2/_catalog", (200,)).body)["repositories"]
        if PASSING not in listed:
            raise self.tally.fail(f"{PASSING} is not listed, though it holds {digest_of(payload)}")
        self.client.get(PASSING, digest_of(payload), None)
        self.delete(PASSING, f"manifests/{digest_of(payload)}", (202,))

    def tag(self, payload: bytes) -> str:
        """Hold the manifest by a tag of this actor, and return it."""
        self.client.put(PASSING, self.name, payload, self.client.promises())
        return self.name


class Wrecked(_Unhurried):
    """Pushes to a repository that is deleted again and again: it may be told to begin anew, and nothing worse."""

    def round(self) -> None:
        """Push a blob and a manifest; the session, or the blob, may go with the repository."""
        content = self.chance.randbytes(100)
        path = f"/v2/{WRECKED}/blobs/uploads/?digest={digest_of(content)}"
        if self.client.connection.send("POST", path, (201, 404), content).status == 404:
            return
        payload = manifest(content)
        media_type = json.loads(payload)["mediaType"]
        self.client.connection.send("PUT", f"/v2/{WRECKED}/manifests/v1", (201, 400), payload, media_type)


class Wrecker(_Unhurried):
    """Deletes the repository of the others."""

    def round(self) -> None:
        """Run the command; where nothing is, it says so."""
        command = [sys.executable, "manage.py", "deleterepository", WRECKED]
        ended = subprocess.run(
            command, cwd=ROOT, env=self.world.server.environment(), capture_output=True, text=True, check=False
        )
        if ended.returncode and "There is no repository" not in ended.stderr:
            raise self.tally.fail(f"{' '.join(command)}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
        # Each start of the command costs as much as a hundred pushes.
        self.world.is_over.wait(5)
