"""The two who meet the collector most: one who waits until what it pushed is almost due, one who hardly waits."""

from tests.images import descriptor, digest_of, index, manifest
from tests.stress.actor import PAUSE_SECONDS, Actor
from tests.stress.client import MissingError
from tests.stress.promises import Promises
from tests.stress.world import GRACE_SECONDS, STRICT, TORN, World, free

THINGS = 5


class Waiter(Actor):
    """Asks for what it pushed about when its grace period ends, and needs it a good while later."""

    def round(self) -> None:
        """Push, wait, ask for it, wait, and name what was there in something new."""
        repository = self.chance.choice(STRICT)
        things = [self.thing(repository, number) for number in range(THINGS)]
        self.world.is_over.wait(GRACE_SECONDS * self.chance.uniform(0.6, 1.1))
        found = [self.find(repository, what) for what, _ in things]
        self.world.is_over.wait(GRACE_SECONDS * 0.25)
        for (_, user), promises in zip(things, found, strict=True):
            self.use(repository, user, promises)

    def thing(self, repository: str, number: int) -> tuple[str, bytes]:
        """Push a blob or an image; return the end of its path, and a manifest that names it."""
        blob = f"{self.name} {self.rounds} {number}".encode()
        payload = manifest(blob)
        self.client.upload(repository, blob)
        if number % 2:
            return f"blobs/{digest_of(blob)}", payload
        self.client.put(repository, "", payload, self.client.promises())
        return f"manifests/{digest_of(payload)}", index(payload)

    def find(self, repository: str, what: str) -> Promises:
        """Ask for a blob or manifest; return the promise that it is there, if it is."""
        promises = self.client.promises()
        reply = self.client.connection.send("HEAD", f"/v2/{repository}/{what}", (200, 404))
        if reply.status == 200:
            promises.add(reply.asked_at, is_found=True)
        return promises

    def use(self, repository: str, payload: bytes, promises: Promises) -> None:
        """Put what names what was found."""
        is_promised = promises.stand()
        try:
            self.client.put(repository, "", payload, promises)
        except MissingError:
            return
        self.tally.add("uses of what was found", is_promised)


class Scrapper(Actor):
    """Puts and deletes the same few images, indexes and referrers again and again, as others do meanwhile."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        # Where there is one writer at a time, who hardly waits would keep all others from writing.
        self.pause_seconds = PAUSE_SECONDS if world.is_sqlite else 0.05
        images = [manifest(*self.shared[:2], annotations={"scrap": str(number)}) for number in range(3)]
        indexes = [index(*images), index(images[1], images[0]), index(images[2], subject=descriptor(images[0]))]
        signatures = [manifest(self.shared[1], subject=descriptor(subject)) for subject in (*images, indexes[0])]
        self.payloads = [*images, *indexes, index(indexes[0], images[0]), *signatures]

    def round(self) -> None:
        """Put or delete a few of them."""
        for _ in range(10):
            payload, tag = self.chance.choice(self.payloads), self.chance.choice([*free(), ""])
            if self.chance.random() < 0.6:
                self.put(tag, payload)
            else:
                what = self.chance.choice([tag or digest_of(payload), digest_of(payload)])
                self.delete(TORN, f"manifests/{what}", (202, 404, 409))

    def put(self, tag: str, payload: bytes) -> None:
        """Put a manifest, and what it names when that is missing."""
        try:
            self.client.put(TORN, tag, payload, self.client.promises())
        except MissingError:
            for blob in self.shared[:2]:
                self.client.upload(TORN, blob)
