"""Those who read, move and delete what others pushed."""

import json
from typing import Any

from tests.images import digest_of
from tests.stress.actor import Actor
from tests.stress.promises import Promises
from tests.stress.world import KIBIBYTE, REPOSITORIES, STRICT, TORN, free, moving, pinned


class Reader(Actor):
    """Pulls whole images and compares every byte."""

    def round(self) -> None:
        """Pull what nobody moves, what moves, and what may go at any time."""
        repository = self.chance.choice(STRICT)
        self.client.pull(repository, self.chance.choice(pinned()), None)
        tag, promises = self.chance.choice(moving()), self.client.promises()
        # The tag is there at any time; what it names may lose its hold while it is pulled.
        payload = self.client.get(repository, tag, None)
        self.client.pull(repository, digest_of(payload), promises)
        tags = self.tags(TORN)
        if tags:
            self.client.pull(TORN, self.chance.choice(tags), self.client.promises())


class Retagger(Actor):
    """Moves tags to what other tags name, as `skopeo copy` does within a registry."""

    def round(self) -> None:
        """Put what one tag names under another."""
        repository = self.chance.choice(REPOSITORIES)
        source, target = self.chance.sample([*moving(), self.chance.choice(pinned())], 2)
        promises = self.client.promises()
        payload = self.client.get(repository, source, promises)
        if target not in pinned():
            self.client.put(repository, target, payload, promises)


class Mounter(Actor):
    """Copies images from one repository to another by mounts."""

    def round(self) -> None:
        """Mount every blob of an image, and put its manifest."""
        source, target = self.chance.sample(STRICT, 2)
        payload = self.client.get(source, self.chance.choice(pinned()), None)
        body = json.loads(payload)
        tag = self.chance.choice(moving())

        def push(promises: Promises) -> None:
            for blob in [body["config"], *body["layers"]]:
                path = f"/v2/{target}/blobs/uploads/?mount={blob['digest']}&from={source}"
                # Held there at any time: never an upload.
                promises.add(self.client.connection.send("POST", path, (201,)).asked_at)
            self.client.put(target, tag, payload, promises)

        self.until_done(push)


class Deleter(Actor):
    """Deletes tags, and where anything goes manifests and blobs."""

    def round(self) -> None:
        """Delete a few things."""
        self.delete(self.chance.choice(STRICT), f"manifests/{self.chance.choice(free())}", (202, 404))
        for tag in self.tags(TORN)[:2]:
            found = self.client.connection.send("GET", f"/v2/{TORN}/manifests/{tag}", (200, 404))
            if found.status == 200:
                self.delete_below(found.headers["docker-content-digest"], json.loads(found.body), tag)

    def delete_below(self, digest: str, body: dict[str, Any], tag: str) -> None:
        """Delete a tag, or its manifest, and try its blobs."""
        self.delete(TORN, f"manifests/{self.chance.choice([tag, digest])}", (202, 404, 409))
        for layer in body.get("layers", []):
            self.delete(TORN, f"blobs/{layer['digest']}", (202, 404, 409))


class Quitter(Actor):
    """Begins uploads and does not end them."""

    def round(self) -> None:
        """Leave, hang up in the middle of a chunk, or cancel."""
        repository = self.chance.choice(REPOSITORIES)
        location = self.client.connection.send("POST", f"/v2/{repository}/blobs/uploads/", (202,)).headers["location"]
        part = self.chance.randbytes(KIBIBYTE)
        location = self.client.connection.send("PATCH", location, (202,), [part]).headers["location"]
        way = self.chance.choice(["leave", "hang up", "cancel"])
        if way == "hang up":
            self.client.connection.abandon(location, part)
        elif way == "cancel":
            self.client.connection.send("DELETE", location, (204,))
        self.world.is_over.wait(0.5)
