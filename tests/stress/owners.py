"""Those who push under tags of their own, and check that what they tagged is whole."""

import json
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.images import descriptor, digest_of, index, manifest
from tests.stress.actor import Actor
from tests.stress.promises import Promises
from tests.stress.world import REPOSITORIES, STRICT, TORN, World, free, moving

TAGS_KEPT = 3


class Owner(Actor):
    """Has tags in a strict repository that nobody else touches: what they name is whole until it deletes them."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.home = self.chance.choice(STRICT)
        self.own_tags: deque[str] = deque()

    def place(self) -> tuple[str, str]:
        """Return where to push now, and under which tag: mostly one of its own, else where everybody deletes."""
        if self.chance.random() < 0.3:
            return TORN, self.chance.choice(free())
        if len(self.own_tags) >= TAGS_KEPT:
            self.delete(self.home, f"manifests/{self.own_tags.popleft()}", (202,))
        self.own_tags.append(f"{self.name}-{self.rounds}")
        return self.home, self.own_tags[-1]

    def check(self, repository: str, tag: str, payload: bytes) -> None:
        """Pull a tag of its own, which has to be whole."""
        if repository != TORN and self.client.pull(repository, tag, None) != payload:
            raise self.tally.fail(f"{tag} names another manifest")


class Pusher(Owner):
    """Pushes images."""

    def round(self) -> None:
        """Push under a tag of its own, and where others move and delete what it pushes."""
        repository, tag = self.place()
        self.check(repository, tag, self.push_image(repository, tag))
        self.push_image(self.chance.choice(REPOSITORIES), self.chance.choice([*moving(), *free(), ""]))


class IndexPusher(Owner):
    """Pushes indexes of untagged images, and indexes of those."""

    def round(self) -> None:
        """Push children by digest, then what lists them."""
        repository, tag = self.place()
        images = [self.image() for _ in range(2)]
        inner = index(*(payload for _, payload in images))
        outer = index(inner, images[0][1], annotations={"of": tag})

        def push(promises: Promises) -> None:
            for contents, payload in images:
                self.push(repository, "", contents, payload, promises)
            self.client.put(repository, "", inner, promises)
            self.client.put(repository, tag, outer, promises)

        self.until_done(push)
        self.check(repository, tag, outer)


class ReferrerPusher(Owner):
    """Pushes signatures before, after and at the same time as what they sign."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.other = Actor(world, f"{name}, other hand")

    def act(self) -> None:
        """Go on until the run is over."""
        with ThreadPoolExecutor(1) as self.thread:
            super().act()
        self.other.client.connection.close()

    def round(self) -> None:
        """Push image and signature, and ask for the signature."""
        repository, tag = self.place()
        contents, payload = self.image()
        signature = manifest(self.shared[1], annotations={"of": tag}, subject=descriptor(payload))
        promises = self.client.promises()
        sign = partial(self.sign, repository=repository, signature=signature, promises=promises)
        order = self.chance.choice(["before", "after", "at once"])
        if order == "before":
            sign(self)
        beside = self.thread.submit(sign, self.other) if order == "at once" else None
        try:
            self.until_done(lambda pushed: self.push(repository, tag, contents, payload, pushed))
        finally:
            if beside is not None:
                beside.result()
        if order == "after":
            sign(self)
        self.check(repository, tag, payload)
        is_held = order == "after" and repository != TORN
        self.check_signed(repository, payload, signature, None if is_held else promises)

    def sign(self, hand: Actor, repository: str, signature: bytes, promises: Promises) -> None:
        """Push the signature."""

        def push(pushed: Promises) -> None:
            begun_at = time.monotonic()
            hand.push(repository, "", [self.shared[1]], signature, pushed)
            promises.add(begun_at)

        hand.until_done(push)

    def check_signed(self, repository: str, payload: bytes, signature: bytes, promises: Promises | None) -> None:
        """Ask for the referrers of what was signed; None: its subject holds the signature."""
        path = f"/v2/{repository}/referrers/{digest_of(payload)}"
        listed = json.loads(self.client.connection.send("GET", path, (200,)).body)["manifests"]
        if digest_of(signature) not in [entry["digest"] for entry in listed]:
            raise self.client.missing(f"referrer {digest_of(signature)}", repository, promises)
        self.client.pull(repository, digest_of(signature), promises)
