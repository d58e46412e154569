"""The networks of rules: parsed, canonical, and those that contain an address."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from core.forwarded import plain_address

Network = IPv4Network | IPv6Network

MAX_NETWORKS = 20

_MAPPED = IPv6Network("::ffff:0:0/96")


class InvalidNetworkError(ValueError):
    """The string is not a network; the message is a sentence that says what to write."""


def parse_network(text: str) -> Network:
    """Return the network of a CIDR block or address. Raises InvalidNetworkError, also with bits behind its mask."""
    try:
        found = ip_network(text)
    except ValueError:
        raise InvalidNetworkError(f"{text[:50]!a} is no IP address or network as 10.0.0.0/8{_nearest(text)}") from None
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        plain = f"{found.network_address.ipv4_mapped}/{found.prefixlen - _MAPPED.prefixlen}"
        raise InvalidNetworkError(f"{text!a} is an IPv4 network in the form of IPv6; write {plain}")
    if isinstance(found, IPv6Network) and found.network_address.scope_id is not None:
        raise InvalidNetworkError(f"{text[:50]!a} has a zone, which addresses of clients do not have")
    return found


def _nearest(text: str) -> str:
    try:
        return f"; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        return ""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a rule, which are joined by commas; none for "". Raises InvalidNetworkError."""
    networks = tuple(parse_network(part) for part in text.split(",")) if text else ()
    if len(networks) > MAX_NETWORKS:
        raise InvalidNetworkError(f"a rule has at most {MAX_NETWORKS} networks, not {len(networks)}")
    return networks


def canonical(networks: Iterable[Network]) -> str:
    """Return networks as a rule stores them: in order, each once, joined by commas."""
    return ",".join(map(str, in_order(networks)))


def in_order(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return networks in order, each once."""
    ordered = sorted(set(networks), key=lambda one: (one.version, int(one.network_address), one.prefixlen))
    return tuple(ordered)


def containing(networks: Iterable[Network], address: str) -> frozenset[str] | None:
    """Return those of `networks` that contain `address`, as strings; None for what is no address, as a unix socket's.

    An IPv4 address counts as such in the form of IPv6 too.
    """
    try:
        parsed = ip_address(plain_address(address))
    except ValueError:
        return None
    return frozenset(str(network) for network in networks if parsed in network)


def is_address(text: str) -> bool:
    """Tell whether `text` is an IP address."""
    return containing((), text) is not None


def covers(wide: Iterable[Network], narrow: Iterable[Network]) -> bool:
    """Tell whether each of `narrow` is within one of `wide`; an empty `narrow` stands for every address."""
    around, inside = list(wide), list(narrow)
    if not around or not inside:
        return not around
    return all(any(_is_within(one, other) for other in around) for one in inside)


def _is_within(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.subnet_of(other)
    return isinstance(other, IPv6Network) and one.subnet_of(other)
