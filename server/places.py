"""Fair shares between clients: the name to count by, a round-robin queue, and places for slow clients.

    a place is free                                     ──> take it
    all are taken; the client is below its share, and
      another is above its own                          ──> evict the slowest wait of the largest client
    likewise among the sites that clients are in        ──> likewise
    otherwise                                           ──> refuse

No place is reserved: a single fleet of machines may use all of them. An evicted place is free at once, so no wait
queues for it.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Generic, Protocol, TypeVar

from core.api.notes import ACCOUNT, ANONYMOUS_NAME
from core.forwarded import IsProxy, network_of, site_of

# A client with no more places than these keeps them: docker moves three to five layers at once. So a full server
# refuses new clients rather than end a transfer.
LEAST_SHARE = 8
# A wait with at least this rate ends soon by itself, and is never evicted.
DECENT_BYTES_PER_SECOND = 64 * 1024

T = TypeVar("T")


class Client:
    """The client of a connection: the account of the current request, otherwise its network."""

    __slots__ = ("environ", "network")

    def __init__(self, address: object, is_proxy: IsProxy) -> None:
        """Take the peer's `address` from `accept`.

        `network` is empty behind a trusted proxy and on a unix socket, where the address names no client.
        """
        host = address[0] if isinstance(address, tuple) else ""
        self.network = "" if is_proxy(host) else network_of(host)
        self.environ: Mapping[str, Any] | None = None
        """The WSGI environment of the current request; None before its head is parsed."""

    @property
    def name(self) -> str:
        """The account or the network; empty while neither is known."""
        environ = self.environ
        if environ is None:
            return self.network
        account: str | None = environ.get(ACCOUNT)
        if account is None or account == ANONYMOUS_NAME:
            return network_of(environ.get("REMOTE_ADDR", ""))
        return f"account {account}"


class FairQueue(Generic[T]):
    """A round-robin queue over clients, first in first out within each; not thread-safe."""

    def __init__(self) -> None:
        # In the order of the clients' turns.
        self._queues: dict[str, deque[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, client: str, item: T) -> None:
        """Append `item` to the queue of its client."""
        self._queues.setdefault(client, deque()).append(item)

    def pop(self) -> T:
        """Return the oldest item of the next client."""
        client = next(iter(self._queues))
        queue = self._queues.pop(client)
        item = queue.popleft()
        if queue:
            self._queues[client] = queue
        return item


class Waiter(Protocol):
    """A wait for a client."""

    def progress(self) -> float:
        """Return the bytes per second of the transfer; called from another thread."""
        ...

    def evict(self) -> None:
        """End the wait from another thread, without blocking."""
        ...


def share(number: int, held: Mapping[str, Collection[object]], client: str, most: int) -> int:
    """Return the fair share of `client` in `number` places, given what each client has in `held`.

    All clients have an equal share, at least LEAST_SHARE and at most `most`.
    """
    return min(most, max(LEAST_SHARE, number // (len(held) + (client not in held))))


class Places:
    """A bounded number of places for waits; not thread-safe."""

    def __init__(self, number: int, most: int) -> None:
        """Start with all places free; `most` bounds a client's share among few others."""
        self._number = self._free = number
        self._most = most
        # The waits of each client, oldest first, each with its client.
        self._waits: dict[str, dict[Waiter, str]] = {}

    def take(self, client: str, waiter: Waiter) -> bool:
        """Take a place, if need be by eviction; tell whether that succeeded. A `client` without a name has no share."""
        if self._free:
            self._free -= 1
        elif not self._has_evicted(self._waits, client) and not self._has_evicted(self._by_site(), site_of(client)):
            return False
        if client:
            self._waits.setdefault(client, {})[waiter] = client
        return True

    def leave(self, client: str, waiter: Waiter) -> bool:
        """Return a place; False means that the wait was evicted before."""
        if client and not self._remove(client, waiter):
            return False
        self._free += 1
        return True

    def _has_evicted(self, held: Mapping[str, Mapping[Waiter, str]], client: str) -> bool:
        """Evict the slowest wait of the largest holder in `held`, if `client` is below its share; tell whether one was.

        Among equally slow waits the oldest is evicted.
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
                self._remove(waits[slowest], slowest)
                slowest.evict()
                return True
        return False

    def _by_site(self) -> dict[str, dict[Waiter, str]]:
        """Return the waits by site: one IPv6 site has more networks than there are places."""
        sites: dict[str, dict[Waiter, str]] = {}
        for client, waits in self._waits.items():
            sites.setdefault(site_of(client), {}).update(waits)
        # With one client in each site the first pass has decided already.
        return sites if len(sites) < len(self._waits) else {}

    def _remove(self, client: str, waiter: Waiter) -> bool:
        """Remove a wait; tell whether it was there."""
        waits = self._waits.get(client, {})
        if waiter not in waits:
            return False
        del waits[waiter]
        if not waits:
            del self._waits[client]
        return True
