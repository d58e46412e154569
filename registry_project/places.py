"""Places for clients that are waited for: one client may have all of them, until others need some.

    a place is free                                      ──> whoever asks takes it
    none is, and a client asks that has less than its share
      while another has more                             ──> the one with the most loses its oldest wait
    none is, otherwise                                   ──> refused

No place is kept free for others: a fleet of machines that has the server to itself uses all of it. One that is taken
back is there at once, so nobody queues.
"""

from typing import Protocol

# A client with no more than these loses none: docker moves three to five layers at once, and a server that is merely
# full turns newcomers away rather than end what is under way.
LEAST_SHARE = 8


class Waiter(Protocol):
    """A wait for a client."""

    @property
    def client(self) -> str:
        """Who is waited for; empty for one who can't be told from others, and has no share."""
        ...

    def evict(self) -> None:
        """End the wait, from another thread and without blocking."""
        ...


def share(number: int, clients: int, most: int) -> int:
    """Return how many of `number` each of the `clients` may have: as many as the others, a few, never above `most`."""
    return min(most, max(LEAST_SHARE, number // clients))


class Places:
    """So many places; one thread at a time calls this."""

    def __init__(self, number: int, most: int) -> None:
        """Have all free; `most` is the share of a client among few others."""
        self._number = self._free = number
        self._most = most
        # Of each client the oldest first.
        self._waits: dict[str, dict[Waiter, None]] = {}

    def take(self, client: str, waiter: Waiter) -> bool:
        """Take a place for a wait of `client`, another client's if need be; tell whether there was one."""
        if self._free:
            self._free -= 1
        elif not self._is_yielded_to(client):
            return False
        if client:
            self._waits.setdefault(client, {})[waiter] = None
        return True

    def leave(self, client: str, waiter: Waiter) -> bool:
        """Give a place back; tell whether it was there still, and not taken for another client."""
        if client and not self._forget(client, waiter):
            return False
        self._free += 1
        return True

    def _is_yielded_to(self, client: str) -> bool:
        """Take the place of another client's oldest wait; tell whether one had to give it."""
        if not self._waits:
            return False
        own = self._waits.get(client, {})
        fair = share(self._number, len(self._waits) + (not own), self._most)
        if len(own) >= fair:
            return False
        greediest, waits = max(self._waits.items(), key=lambda item: len(item[1]))
        if len(waits) <= fair:
            return False
        oldest = next(iter(waits))
        self._forget(greediest, oldest)
        oldest.evict()
        return True

    def _forget(self, client: str, waiter: Waiter) -> bool:
        """Forget a wait; tell whether it was known."""
        waits = self._waits.get(client, {})
        if waiter not in waits:
            return False
        del waits[waiter]
        if not waits:
            del self._waits[client]
        return True
