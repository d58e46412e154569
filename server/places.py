"""Places for clients that are waited for: one client may have all of them, until others need some.

    a place is free                                      ──> whoever asks takes it
    none is, and a client asks that has less than its share
      while another has more                             ──> the one with the most loses its slowest wait
    none is, and so for the sites that clients are in    ──> likewise
    none is, otherwise                                   ──> refused

No place is kept free for others: a fleet of machines that has the server to itself uses all of it. One that is taken
back is there at once, so nobody queues.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from core.forwarded import site_of

# A client with no more than these loses none: docker moves three to five layers at once, and a server that is merely
# full turns newcomers away rather than end what is under way.
LEAST_SHARE = 8
# A wait that brings so much ends by itself soon, and loses its place for nobody.
DECENT_BYTES_PER_SECOND = 64 * 1024


class Waiter(Protocol):
    """A wait for a client."""

    @property
    def client(self) -> str:
        """Who is waited for; empty for one who can't be told from others, and has no share."""
        ...

    def progress(self) -> float:
        """Return how many bytes a second its client moves; another thread asks."""
        ...

    def evict(self) -> None:
        """End the wait, from another thread and without blocking."""
        ...


def share(number: int, held: Mapping[str, Collection[object]], client: str, most: int) -> int:
    """Return how many of `number` the `client` may have beside those in `held`.

    That is as many as each of the others, a few at least, and never more than `most`.
    """
    return min(most, max(LEAST_SHARE, number // (len(held) + (client not in held))))


class Places:
    """So many places; one thread at a time calls this."""

    def __init__(self, number: int, most: int) -> None:
        """Have all free; `most` is the share of a client among few others."""
        self._number = self._free = number
        self._most = most
        # Of each client the oldest first, with the client.
        self._waits: dict[str, dict[Waiter, str]] = {}

    def take(self, client: str, waiter: Waiter) -> bool:
        """Take a place for a wait of `client`, another client's if need be; tell whether there was one."""
        if self._free:
            self._free -= 1
        elif not self._is_yielded(self._waits, client) and not self._is_yielded(self._by_site(), site_of(client)):
            return False
        if client:
            self._waits.setdefault(client, {})[waiter] = client
        return True

    def leave(self, client: str, waiter: Waiter) -> bool:
        """Give a place back; tell whether it was there still, and not taken for another client."""
        if client and not self._forget(client, waiter):
            return False
        self._free += 1
        return True

    def _is_yielded(self, held: Mapping[str, Mapping[Waiter, str]], client: str) -> bool:
        """Take the place of the slowest wait of whoever in `held` has the most, if it is slow; tell whether one had to.

        Of equally slow ones, it is the oldest.
        """
        if not held:
            return False
        fair = share(self._number, held, client, self._most)
        if len(held.get(client, ())) >= fair:
            return False
        for waits in sorted((waits for waits in held.values() if len(waits) > fair), key=len, reverse=True):
            progress = {wait: wait.progress() for wait in waits}
            slowest = min(progress, key=progress.__getitem__)
            if progress[slowest] < DECENT_BYTES_PER_SECOND:
                self._forget(waits[slowest], slowest)
                slowest.evict()
                return True
        return False

    def _by_site(self) -> dict[str, dict[Waiter, str]]:
        """Return the waits by the site of their clients: one site of IPv6 has more networks than there are places."""
        sites: dict[str, dict[Waiter, str]] = {}
        for client, waits in self._waits.items():
            sites.setdefault(site_of(client), {}).update(waits)
        # As many as clients: then each is asked already.
        return sites if len(sites) < len(self._waits) else {}

    def _forget(self, client: str, waiter: Waiter) -> bool:
        """Forget a wait; tell whether it was known."""
        waits = self._waits.get(client, {})
        if waiter not in waits:
            return False
        del waits[waiter]
        if not waits:
            del self._waits[client]
        return True
