"""What all clients of a soak share: the server, what is published on it, and who may do what at this moment."""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak.ledger import Ledger
from tests.clients.server import Server

HONEST = ("alice", "developer")
REPOSITORIES = ("alice/one", "alice/two", "myorg/backend-api")
RESTRICTED = "bob"
"""Whose right to pull comes and goes."""
HOSTILE = "charlie"
GRACE = "20s"


class SoakServer(Server):
    """A server that collects soon, and one of whose rules comes and goes."""

    is_granted = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Hashes are made anew by each call: after a restart they would be other passwords, which end every login.
        self._users = super().configuration()["users"]

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        found = super().configuration() | {"users": self._users}
        rules = [
            {"account": "admin", "name": "*", "actions": ["*"]},
            {"account": "alice", "name": "alice/*", "actions": ["*"]},
            {"account": "developer", "name": "myorg/backend-*", "actions": ["*"]},
            {"account": "developer", "name": "alice/*", "actions": ["pull"]},
            {"account": "alice", "name": "myorg/*", "actions": ["pull"]},
            {"account": HOSTILE, "name": "charlie/*", "actions": ["*"]},
            {"anonymous": True, "name": "public/*", "actions": ["pull"]},
            *([{"account": RESTRICTED, "name": "alice/*", "actions": ["pull"]}] if self.is_granted else []),
        ]
        collector = {"enabled": True, "interval": "1m", "grace_period": GRACE, "remove_untagged": True}
        return found | {"acl": rules, "garbage_collector": collector}


@dataclass(slots=True)
class Image:
    """An image that was pushed; `is_gone` once its owner moves or deletes its tag."""

    repository: str
    tag: str
    payload: bytes
    blobs: dict[str, bytes]
    is_gone: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """Whether RESTRICTED may pull."""

    is_granted: bool


@dataclass(slots=True)
class World:
    """A server, and what is known of it."""

    server: SoakServer
    seed: int
    ledger: Ledger = field(default_factory=Ledger)
    is_over: threading.Event = field(default_factory=threading.Event)
    images: list[Image] = field(default_factory=list)
    rights: "Rights | None" = field(default_factory=lambda: Rights(is_granted=True))
    """What RESTRICTED may do since some moment, another object after each change; None while they change."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def chance(self, name: str) -> random.Random:
        """Return the random numbers of one client."""
        return random.Random(f"{self.seed} {name}")

    def publish(self, image: Image) -> None:
        """Let others pull an image."""
        with self._lock:
            self.images = [kept for kept in self.images if not kept.is_gone] + [image]

    def some_image(self, chance: random.Random) -> Image | None:
        """Return an image that is there, None before the first one."""
        images = [image for image in self.images if not image.is_gone]
        return chance.choice(images) if images else None
