"""A client that pushes and pulls as the real ones do, and believes nothing that it didn't check."""

import json
import random

from tests.images import digest_of
from tests.stress.connection import Connection, Reply
from tests.stress.promises import Promises
from tests.stress.tally import FaultError, Tally
from tests.stress.world import REPOSITORIES, TORN, World

PIECE_BYTES = 32 * 1024


class MissingError(Exception):
    """Something is not there that nobody had promised."""


class Client:
    """Pushes and pulls over one connection."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.connection: Connection = world.connect()
        self.tally: Tally = world.tally

    def promises(self) -> Promises:
        """Return what a push or pull that begins now may rely on: nothing yet."""
        return Promises(self.world.phase)

    # ---- blobs

    def push_blob(self, repository: str, content: bytes, promises: Promises) -> None:
        """Make sure that the blob is in the repository: asked for, mounted or uploaded."""
        digest = digest_of(content)
        if self.chance.random() < 0.7:
            found = self.connection.send("HEAD", f"/v2/{repository}/blobs/{digest}", (200, 404))
            if found.status == 200:
                promises.add(found.asked_at, is_found=True)
                return
        location = None
        if self.chance.random() < 0.4:
            reply = self.mount(repository, digest)
            if reply.status == 201:
                promises.add(reply.asked_at)
                return
            location = reply.headers["location"]
        promises.add(self.upload(repository, content, location).asked_at)

    def mount(self, repository: str, digest: str) -> Reply:
        """Ask for the blob from another repository; one that was just found there has to be mounted."""
        source = self.chance.choice([name for name in REPOSITORIES if name != repository])
        promises = self.promises()
        found = self.connection.send("HEAD", f"/v2/{source}/blobs/{digest}", (200, 404))
        promises.add(found.asked_at, is_found=True)
        path = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}"
        reply = self.connection.send("POST", path, (201, 202))
        if found.status == 200 and reply.status == 202 and source != TORN and promises.stand():
            raise self.tally.fail(f"{digest} was found in {source} and could not be mounted from there")
        self.tally.add("mounts" if reply.status == 201 else "mounts that became uploads")
        return reply

    def upload(self, repository: str, content: bytes, location: str | None = None) -> Reply:
        """Send the bytes whole or in chunks; return the last answer."""
        start, digest = f"/v2/{repository}/blobs/uploads/", digest_of(content)
        way = self.chance.choice(["whole", "put", "chunks"])
        if way == "whole" and location is None:
            return self.connection.send("POST", f"{start}?digest={digest}", (201,), content)
        if location is None:
            location = self.connection.send("POST", start, (202,)).headers["location"]
        if way == "put":
            return self.connection.send("PUT", f"{location}?digest={digest}", (201,), content)
        middle = self.chance.randint(0, len(content))
        for part in (content[:middle], content[middle:]):
            location = self.connection.send("PATCH", location, (202,), _pieces(part)).headers["location"]
        return self.connection.send("PUT", f"{location}?digest={digest}", (201,))

    def read_blob(self, repository: str, digest: str, size: int, promises: Promises | None) -> None:
        """Get the blob and compare every byte; None: it is held."""
        reply = self.connection.send("GET", f"/v2/{repository}/blobs/{digest}", (200, 404))
        if reply.status == 404:
            raise self.missing(f"blob {digest}", repository, promises)
        self.check(reply.body, digest, repository)
        if len(reply.body) != size:
            raise self.tally.fail(f"blob {digest} in {repository} has {len(reply.body)} bytes")

    # ---- manifests

    def put(self, repository: str, reference: str, payload: bytes, promises: Promises) -> None:
        """Put a manifest, by its digest when `reference` is empty. Raises MissingError."""
        path = f"/v2/{repository}/manifests/{reference or digest_of(payload)}"
        reply = self.connection.send("PUT", path, (201, 400), payload, json.loads(payload)["mediaType"])
        if reply.status == 201:
            promises.add(reply.asked_at)
        elif reply.code == "MANIFEST_BLOB_UNKNOWN":
            raise self.missing(f"what {path} names ({reply.body.decode()})", repository, promises)
        else:
            raise self.tally.fail(f"PUT {path}: {reply.body!r}")

    def get(self, repository: str, reference: str, promises: Promises | None) -> bytes:
        """Return the bytes of a manifest; None: it is held. Raises MissingError."""
        reply = self.connection.send("GET", f"/v2/{repository}/manifests/{reference}", (200, 404))
        if reply.status == 404:
            raise self.missing(f"manifest {reference}", repository, promises)
        self.check(reply.body, reply.headers["docker-content-digest"], repository)
        if ":" in reference:
            self.check(reply.body, reference, repository)
        if promises is not None:
            promises.add(reply.asked_at, is_found=True)
        return reply.body

    def pull(self, repository: str, reference: str, promises: Promises | None) -> bytes:
        """Pull everything below a tag or digest; None: it is held, nothing of it may be missing at any time."""
        payload = self.get(repository, reference, promises)
        self.pull_below(repository, payload, promises)
        return payload

    def pull_below(self, repository: str, payload: bytes, promises: Promises | None) -> None:
        """Pull what a manifest names."""
        body = json.loads(payload)
        for child in body.get("manifests", []):
            self.pull(repository, child["digest"], promises)
        for blob in [*([body["config"]] if "config" in body else []), *body.get("layers", [])]:
            self.read_blob(repository, blob["digest"], blob["size"], promises)
        self.tally.add("manifests pulled whole")

    # ---- what is wrong

    def check(self, content: bytes, digest: str, repository: str) -> None:
        """Compare bytes with their digest."""
        if digest_of(content) != digest:
            raise self.tally.fail(f"other bytes came for {digest} in {repository}")

    def missing(self, what: str, repository: str, promises: Promises | None) -> FaultError | MissingError:
        """Return the error for something that is not there: a fault when it is held (None) or was promised."""
        if promises is None or (repository != TORN and promises.stand()):
            return self.tally.fail(f"{what} is missing in {repository}, though {'promised' if promises else 'held'}")
        self.tally.add("missing, and nobody had promised it")
        return MissingError(what)


def _pieces(content: bytes) -> list[bytes]:
    return [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)]
