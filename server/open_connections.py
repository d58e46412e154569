"""The connections of a worker by the network of their client, and by its site, so that nobody opens all of them.

Unlike places, some are kept for clients below their share: a worker that has all that it may accepts none, and does not
even see who asks.
"""

from threading import Lock
from typing import Protocol

from core.forwarded import site_of
from server.client import Client
from server.places import share


class Idle(Protocol):
    """A connection, as far as it can be spared."""

    peer: Client

    def end_idle(self) -> bool:
        """End it if it asks nothing, or half of something; tell whether that is so."""
        ...


class OpenConnections:
    """Each client's connections, the oldest first. A client may open any number until three quarters are taken."""

    def __init__(self, number: int, most: int | None = None) -> None:
        """Expect up to `number`; `most` is the share of one client, None a quarter."""
        self._shared_from = number * 3 // 4
        self._most = most or max(1, number // 4)
        self._lock = Lock()
        # One site of IPv6 has more networks than there are connections.
        self._by_network: dict[str, dict[Idle, None]] = {}
        self._by_site: dict[str, dict[Idle, None]] = {}

    def add(self, connection: Idle) -> None:
        """Count a connection, which its client may have."""
        if network := connection.peer.network:
            with self._lock:
                self._by_network.setdefault(network, {})[connection] = None
                self._by_site.setdefault(site_of(network), {})[connection] = None

    def remove(self, connection: Idle) -> None:
        """Count a connection no longer, if it still is."""
        network = connection.peer.network
        with self._lock:
            for held, client in ((self._by_network, network), (self._by_site, site_of(network))):
                opened = held.get(client, {})
                opened.pop(connection, None)
                if not opened:
                    held.pop(client, None)

    def has_room(self, network: str, number: int) -> bool:
        """Tell whether a client may open another connection beside the `number` that there are.

        Beyond its share, or that of its site, it is in place of the oldest one that asks nothing.
        """
        if number < self._shared_from or not network:
            return True
        for held, client in ((self._by_network, network), (self._by_site, site_of(network))):
            with self._lock:
                opened = list(held.get(client, ()))
                fair = share(self._shared_from, held, client, self._most)
            if len(opened) >= fair:
                return self._is_one_ended(opened)
        return True

    def _is_one_ended(self, opened: list[Idle]) -> bool:
        ended = next((connection for connection in opened if connection.end_idle()), None)
        if ended is not None:
            self.remove(ended)
        return ended is not None
