"""The name of a client, and its share of connections."""

from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from core.api.notes import ACCOUNT, ANONYMOUS_NAME
from core.forwarded import listed_in
from server.open_connections import OpenConnections
from server.places import Client

IS_PROXY = listed_in([ip_network("10.0.0.0/8")])


def client(address: str) -> Client:
    """Return the client of a connection from there."""
    return Client((address, 50000), IS_PROXY)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        # What a socket that listens on `::` says of an IPv4 address: all of them are in one network of 64 bits.
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2:3:4", "2001:db8::"),
        ("10.1.2.3", ""),
        ("::ffff:10.1.2.3", ""),
    ],
)
def test_before_a_request_a_client_is_its_network(address: str, name: str) -> None:
    assert client(address).name == name


def test_on_a_unix_socket_the_client_is_unknown() -> None:
    assert Client("", IS_PROXY).name == ""


@pytest.mark.parametrize("account", [None, ANONYMOUS_NAME])
def test_without_an_account_a_client_is_the_network_that_the_proxy_names(account: str | None) -> None:
    asking = client("10.1.2.3")
    asking.environ = {"REMOTE_ADDR": "2001:db8::1"} | ({ACCOUNT: account} if account else {})

    assert asking.name == "2001:db8::"


def test_with_an_account_a_client_is_the_account() -> None:
    asking = client("192.0.2.1")
    asking.environ = {"REMOTE_ADDR": "192.0.2.1", ACCOUNT: "alice"}

    assert asking.name == "account alice"


@dataclass(eq=False)
class Opened:
    """A connection that takes note of being ended."""

    peer: Client
    is_idle: bool = True
    is_ended: bool = False

    def close_to_make_room(self) -> bool:
        self.is_ended = self.is_idle
        return self.is_idle


def opened(number: int, *, is_idle: bool = True, is_site: bool = False) -> tuple[OpenConnections, list[Opened]]:
    """Return so many connections of one client, or of one site, where 75 of 100 are anybody's."""
    counted = OpenConnections(100)
    addresses = [f"2001:db8:0:{each:x}::1" if is_site else "192.0.2.1" for each in range(number)]
    connections = [Opened(client(address), is_idle=is_idle) for address in addresses]
    for connection in connections:
        counted.add(connection)
    return counted, connections


def test_as_long_as_there_is_room_one_client_may_have_all() -> None:
    counted, connections = opened(74)

    assert counted.has_room("192.0.2.1", 74)
    assert not any(connection.is_ended for connection in connections)


def test_beyond_its_share_a_client_loses_its_oldest_for_each_new_one() -> None:
    counted, connections = opened(75)

    assert all(counted.has_room("192.0.2.1", 75) for _ in range(3))
    assert [connection.is_ended for connection in connections] == [True] * 3 + [False] * 72


def test_a_connection_being_served_is_not_closed() -> None:
    counted, connections = opened(75, is_idle=False)
    connections[40].is_idle = True

    assert counted.has_room("192.0.2.1", 75)
    assert [number for number, connection in enumerate(connections) if connection.is_ended] == [40]


def test_a_client_with_only_busy_connections_gets_no_more() -> None:
    counted, _ = opened(75, is_idle=False)

    assert not counted.has_room("192.0.2.1", 75)


@pytest.mark.parametrize("network", ["192.0.2.2", ""])
def test_other_clients_get_a_connection(network: str) -> None:
    counted, connections = opened(75)

    assert counted.has_room(network, 75)
    assert not any(connection.is_ended for connection in connections)


def test_a_site_gets_no_more_by_another_network() -> None:
    counted, connections = opened(75, is_site=True)

    assert all(counted.has_room("2001:db8:0:ffff::", 75) for _ in range(3))
    assert [connection.is_ended for connection in connections] == [True] * 3 + [False] * 72


def test_a_site_with_only_busy_connections_gets_no_more() -> None:
    counted, _ = opened(75, is_idle=False, is_site=True)

    assert not counted.has_room("2001:db8:0:ffff::", 75)


@pytest.mark.parametrize("network", ["2001:db8:1::", "192.0.2.2", ""])
def test_other_clients_get_a_connection_beside_a_site_with_many_networks(network: str) -> None:
    counted, connections = opened(75, is_site=True)

    assert counted.has_room(network, 75)
    assert not any(connection.is_ended for connection in connections)


def test_a_connection_that_was_closed_does_not_count() -> None:
    counted, connections = opened(75)
    for connection in connections[:60]:
        counted.remove(connection)

    assert counted.has_room("192.0.2.1", 75)
    assert not any(connection.is_ended for connection in connections)


@pytest.mark.parametrize("is_site", [False, True])
def test_a_client_that_has_left_is_forgotten(is_site: bool) -> None:
    counted, connections = opened(3, is_site=is_site)
    for connection in connections:
        counted.remove(connection)

    assert (counted._by_network, counted._by_site) == ({}, {})
