"""What proxies say about a request: `Forwarded` (RFC 7239), and the `X-Forwarded-…` that were there before it.

Each proxy adds the address that it was asked from to the right of what it got. What stands left of the last proxy that
is trusted, anyone may have written, so everything is read from the right and no further than that.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

X_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
HEADER = "HTTP_FORWARDED"
# An IPv6 address in brackets and its port, with room for another way to write them. What is longer is not remembered.
MAX_NODE_CHARACTERS = 64

# `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`; without brackets a colon is IPv6's.
_NODE = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9A-Za-z._-]+)?|(?P<v4>[0-9.]+):[0-9A-Za-z._-]+|(?P<plain>[^\[\]]+)"
)
# A token is more than the RFC lets it be: some proxies write `for=192.0.2.1:4711` without the quotes.
_PAIR = re.compile(r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[^\s\"\\;,=]+))\s*")

IsProxy = Callable[[str], bool]


class Claim(NamedTuple):
    """What is said of a request; None: nothing that can be read, or what two headers contradict each other about.

    The latter are the `disputed`.
    """

    scheme: str | None = None
    host: str | None = None
    client: str | None = None
    disputed: tuple[str, ...] = ()


def claim_of(meta: Mapping[str, str], peer: str, is_proxy: IsProxy) -> Claim:
    """Return what the proxy `peer`, which is trusted, says of its request.

    A proxy sets one kind of header and passes on the other as its client sent it, and which of the two it sets is not
    known here. Whichever kind won, somebody could write the other through a proxy that leaves it alone, and be any
    address. So where both are there, nothing is believed that they contradict each other about.
    """
    by_x = _x_claim(meta, is_proxy) if any(header in meta for header in X_HEADERS) else None
    if HEADER not in meta:
        return by_x or Claim(client=peer)
    standard = _standard_claim(meta[HEADER], is_proxy)
    if by_x is None:
        return standard
    return _merged(by_x, standard)


def _merged(one: Claim, other: Claim) -> Claim:
    """Return what the two say together.

    Scheme and host that only one kind names are believed, though it may be the client's own: behind a proxy that sets
    neither, a client can name them with one kind alone, and names the host by `Host` anyway. Both only shape the answer
    to that very request, no page can make a browser send these headers, and the names are checked as `Host` is. The
    client, for which access, limits and logs stand, has to be named by both.
    """
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in ("scheme", "host", "client")}
    disputed = tuple(
        name for name, (this, that) in pairs.items() if this != that and (name == "client" or (this and that))
    )
    scheme, host, client = (None if name in disputed else this or that for name, (this, that) in pairs.items())
    return Claim(scheme, host, client, disputed)


def _x_claim(meta: Mapping[str, str], is_proxy: IsProxy) -> Claim:
    """Return what `X-Forwarded-Proto`, `-Host` and `-For` say; of the first two the nearest proxy's word."""
    client = None
    for part in reversed(meta.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not part.strip():
            continue
        client = address_of(part)
        if client is None or not is_proxy(client):
            break
    scheme, host = (_last(meta.get(f"HTTP_X_FORWARDED_{name}", "")) for name in ("PROTO", "HOST"))
    return Claim(_scheme(scheme), host or None, client)


def _standard_claim(header: str, is_proxy: IsProxy) -> Claim:
    """Return what `Forwarded` says; of scheme and host the word of the outermost proxy that is trusted."""
    claim = Claim()
    for element in _elements(header):
        client = address_of(element.get("for", ""))
        scheme, host = _scheme(element.get("proto", "")) or claim.scheme, element.get("host") or claim.host
        claim = Claim(scheme, host, client)
        if client is None or not is_proxy(client):
            break
    return claim


def _elements(header: str) -> Iterator[dict[str, str]]:
    """Give the elements from the right, up to the first that is malformed, which is empty.

    A comma ends an element even in quotes: no address, name or scheme has one, and a quote that a client left open
    would swallow what the proxy wrote behind it.
    """
    for text in reversed(header.split(",")):
        pairs = [_PAIR.fullmatch(pair) for pair in text.split(";") if pair.strip()]
        element = {pair["name"].lower(): pair["quoted"] or pair["token"] or "" for pair in pairs if pair}
        # A parameter that stands twice, too, is whatever somebody wants it to be.
        if not pairs or len(element) < len(pairs):
            yield {}
            return
        yield element


def address_of(node: str) -> str | None:
    """Return the address of a node, without its port; None for an unknown or obfuscated one (RFC 7239, 6)."""
    node = node.strip()
    return _address_of(node) if len(node) <= MAX_NODE_CHARACTERS else None


@lru_cache(maxsize=4096)
def _address_of(node: str) -> str | None:
    found = _NODE.fullmatch(node)
    if found is None:
        return None
    try:
        address = ip_address(found["v6"] or found["v4"] or found["plain"])
    except ValueError:
        return None
    # A socket that listens on `::` names an IPv4 address `::ffff:192.0.2.1`.
    return str(getattr(address, "ipv4_mapped", None) or address)


def plain_address(address: str) -> str:
    """Return an IPv4 address as itself, and what is no address (a unix socket's peer) as it is."""
    return address_of(address) or address


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return who a client is by its address: that of IPv4, the /64 of IPv6, since every home has a whole one."""
    plain = plain_address(address)
    try:
        return str(IPv6Address(int(IPv6Address(plain)) >> 64 << 64))
    except ValueError:
        return plain


@lru_cache(maxsize=4096)
def site_of(network: str) -> str:
    """Return the /48 that a /64 of IPv6 is in, as providers give at most to one site; anything else as it is."""
    try:
        return str(IPv6Address(int(IPv6Address(network)) >> 80 << 80))
    except ValueError:
        return network


def listed_in(networks: Sequence[IPv4Network | IPv6Network]) -> IsProxy:
    """Return what tells whether an address, as a socket has it, is in one of `networks`; it judges each once."""

    @lru_cache(maxsize=4096)
    def is_listed(address: str) -> bool:
        try:
            parsed = ip_address(plain_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in networks)

    return is_listed


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in ("http", "https") else None


def _last(values: str) -> str:
    """Return the value that the nearest proxy added."""
    return values.rpartition(",")[2].strip()
