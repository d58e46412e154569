"""What every actor has: a thread, a connection and random numbers of its own."""

import json
import time
from collections.abc import Callable

from tests.images import manifest
from tests.stress.client import Client, MissingError
from tests.stress.promises import Promises
from tests.stress.tally import FaultError
from tests.stress.world import KIBIBYTE, World

# Without any grace a push may find that what it just pushed was collected, and begins anew.
ATTEMPTS = 60
# Leaves the collectors room: on SQLite a writer that waits comes late beside many that don't pause.
PAUSE_SECONDS = 0.3


class Actor:
    """Does a round after the other until the run is over."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.chance, self.tally = world.chance(name), world.tally
        self.client = Client(world, self.chance)
        self.shared = world.shared()
        self.pause_seconds = PAUSE_SECONDS
        self.rounds = 0

    def act(self) -> None:
        """Go on until the run is over; a round that met a fault is noted, and the next begins."""
        try:
            while not self.world.is_over.is_set():
                self.rounds += 1
                began_at = time.monotonic()
                self._try()
                # By the length of the round: where that takes seconds, longer pauses alone would change little.
                rest = (self.world.calm - 1) * (time.monotonic() - began_at)
                self.world.is_over.wait(self.chance.random() * self.pause_seconds + rest)
        finally:
            self.client.connection.close()

    def _try(self) -> None:
        try:
            self.round()
        except (FaultError, MissingError):
            return
        self.tally.add(f"rounds of {type(self).__name__}")

    def round(self) -> None:
        """Do something once."""
        raise NotImplementedError

    def image(self) -> tuple[list[bytes], bytes]:
        """Return blobs, some of them shared and one of this round's own, and a manifest of them."""
        own = self.chance.randbytes(self.chance.choice([10, KIBIBYTE, 100 * KIBIBYTE]))
        contents = [*self.chance.sample(self.shared, 2), own]
        return contents, manifest(*contents, annotations={"of": f"{self.name} {self.rounds}"})

    def until_done(self, push: Callable[[Promises], None]) -> None:
        """Push, anew when something was collected that nobody had promised any more."""
        for _ in range(ATTEMPTS):
            promises = self.client.promises()
            try:
                push(promises)
            except MissingError:
                self.tally.add("pushes that began anew")
                if self.world.is_over.is_set():
                    raise
            else:
                self.tally.add("pushes within their grace" if promises.stand() else "other pushes")
                return
        raise self.tally.fail(f"{self.name}: no push came through")

    def push_image(self, repository: str, reference: str) -> bytes:
        """Push an image and return its manifest."""
        contents, payload = self.image()
        self.until_done(lambda promises: self.push(repository, reference, contents, payload, promises))
        return payload

    def push(self, repository: str, reference: str, contents: list[bytes], payload: bytes, promises: Promises) -> None:
        """Push blobs, then their manifest."""
        for content in contents:
            self.client.push_blob(repository, content, promises)
        self.client.put(repository, reference, payload, promises)

    def delete(self, repository: str, what: str, expected: tuple[int, ...]) -> None:
        """Delete a tag, manifest or blob."""
        self.client.connection.send("DELETE", f"/v2/{repository}/{what}", expected)

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, in a random order."""
        reply = self.client.connection.send("GET", f"/v2/{repository}/tags/list", (200, 404))
        tags: list[str] = json.loads(reply.body)["tags"] if reply.status == 200 else []
        return self.chance.sample(tags, len(tags))
