"""What all actors of a stress run share."""

import random
import threading
from dataclasses import dataclass, field

from tests.clients.server import Server
from tests.stress.connection import Connection
from tests.stress.promises import Phase
from tests.stress.tally import Tally

# Here only the collector removes anything, besides tags: promises are kept to the letter.
STRICT = ("alice/kept-one", "alice/kept-two")
# Here anybody deletes anything at any time.
TORN = "alice/torn"
REPOSITORIES = (*STRICT, TORN)
# This one is empty at times, and its row collected.
PASSING = "alice/passing"
# This one is deleted at any time.
WRECKED = "alice/wrecked"
GRACE_SECONDS = 4.0
PINNED = 3
"""Tags of each strict repository that nobody moves: what they name never goes."""
MOVING = 4
"""Tags of each repository that move all the time; in a strict one they are never deleted."""
FREE = 4
"""Tags that come and go in each repository."""
SHARED = 10
KIBIBYTE = 1024


@dataclass(slots=True)
class World:
    """A server under stress, and what is known of it."""

    server: Server
    seed: int
    tally: Tally = field(default_factory=Tally)
    phase: Phase = field(default_factory=Phase)
    is_over: threading.Event = field(default_factory=threading.Event)
    turns: int = 0
    """How often collectors have spun with a grace period and without one."""
    calm: int = 1
    """How many times less actors act, and longer phases last and collectors live, than at first: on a busy machine."""

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the server's database is SQLite."""
        return self.server.database_url.startswith("sqlite")

    def chance(self, name: str) -> random.Random:
        """Return the random numbers of one actor."""
        return random.Random(f"{self.seed} {name}")

    def shared(self) -> list[bytes]:
        """Return the blobs that everybody pushes, of sizes from nothing to a few chunks."""
        chance = self.chance("shared")
        return [b"", *(chance.randbytes(chance.choice([2, 700, 20 * KIBIBYTE, 150 * KIBIBYTE])) for _ in range(SHARED))]

    def connect(self) -> Connection:
        """Return a new connection of a client that may do everything."""
        return Connection(self.server, (*REPOSITORIES, PASSING, WRECKED), self.tally)


def pinned() -> list[str]:
    """Return the tags that nobody moves."""
    return [f"pinned-{number}" for number in range(PINNED)]


def moving() -> list[str]:
    """Return the tags that move."""
    return [f"moving-{number}" for number in range(MOVING)]


def free() -> list[str]:
    """Return the tags that anybody deletes."""
    return [f"free-{number}" for number in range(FREE)]
