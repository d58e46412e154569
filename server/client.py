"""Who is at the other end of a connection, for whatever clients have shares of."""

from collections.abc import Mapping
from typing import Any

from core.api.notes import ACCOUNT, ANONYMOUS_NAME
from core.forwarded import IsProxy, network_of


class Client:
    """The account that the current request has shown, otherwise the network that it comes from."""

    __slots__ = ("environ", "network")

    def __init__(self, address: object, is_proxy: IsProxy) -> None:
        """Know nothing but the connection's own address, a socket's.

        Behind a proxy whose word is taken, and on a unix socket, it says nothing: `network` is empty.
        """
        host = address[0] if isinstance(address, tuple) else ""
        self.network = "" if is_proxy(host) else network_of(host)
        self.environ: Mapping[str, Any] | None = None
        """The environment of the request that is served, once its head is there."""

    @property
    def name(self) -> str:
        """The account, or else the network; empty while neither is known."""
        environ = self.environ
        if environ is None:
            return self.network
        account: str | None = environ.get(ACCOUNT)
        if account is None or account == ANONYMOUS_NAME:
            return network_of(environ.get("REMOTE_ADDR", ""))
        return f"account {account}"
