"""Limit a client's share of a worker's connections, by network and by site.

Unlike places, a quarter is reserved for clients below their share: a full worker does not accept, so it can't tell who
connects.
"""

from threading import Lock
from typing import Protocol

from core.forwarded import site_of
from server.places import Client, share


class Closable(Protocol):
    """A connection that may be closed to make room."""

    peer: Client

    def close_to_make_room(self) -> bool:
        """Close the connection if it is idle or its head is incomplete; tell whether it is."""
        ...


class OpenConnections:
    """The open connections of each client, oldest first; shares apply once three quarters are in use."""

    def __init__(self, number: int, most: int | None = None) -> None:
        """Limit `number` connections; `most` bounds one client's share, None means a quarter."""
        self._shared_from = number * 3 // 4
        self._most = most or max(1, number // 4)
        self._lock = Lock()
        # One IPv6 site has more networks than there are connections.
        self._by_network: dict[str, dict[Closable, None]] = {}
        self._by_site: dict[str, dict[Closable, None]] = {}

    def add(self, connection: Closable) -> None:
        """Count a connection of its client."""
        if network := connection.peer.network:
            with self._lock:
                self._by_network.setdefault(network, {})[connection] = None
                self._by_site.setdefault(site_of(network), {})[connection] = None

    def remove(self, connection: Closable) -> None:
        """Stop counting a connection; idempotent."""
        network = connection.peer.network
        with self._lock:
            for held, client in ((self._by_network, network), (self._by_site, site_of(network))):
                opened = held.get(client, {})
                opened.pop(connection, None)
                if not opened:
                    held.pop(client, None)

    def has_room(self, network: str, number: int) -> bool:
        """Tell whether a client may open another connection in addition to `number` open ones.

        Beyond the share of its network or site, its oldest idle connection is closed instead.
        """
        if number < self._shared_from or not network:
            return True
        for held, client in ((self._by_network, network), (self._by_site, site_of(network))):
            with self._lock:
                opened = list(held.get(client, ()))
                fair = share(self._shared_from, held, client, self._most)
            if len(opened) >= fair:
                closed = next((connection for connection in opened if connection.close_to_make_room()), None)
                if closed is None:
                    return False
                self.remove(closed)
                return True
        return True
