"""Parse the headers of proxies: `Forwarded` (RFC 7239) and the older `X-Forwarded-…`.

Each proxy appends the address of its client. Values left of the last trusted proxy's may be forged, so a header is read
from the right, and no further than that.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

X_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
X_HEADERS = (X_FORWARDED_FOR, "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
HEADER = "HTTP_FORWARDED"
# An IPv6 address in brackets and its port, with some slack. Longer strings are not cached.
MAX_NODE_CHARACTERS = 64

# `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`; without brackets a colon is IPv6's.
_NODE = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9A-Za-z._-]+)?|(?P<v4>[0-9.]+):[0-9A-Za-z._-]+|(?P<plain>[^\[\]]+)"
)
# Tokens are laxer than in the RFC: some proxies write `for=192.0.2.1:4711` without the quotes.
_PAIR = re.compile(r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[^\s\"\\;,=]+))\s*")

IsProxy = Callable[[str], bool]


class Claim(NamedTuple):
    """The claims about a request; None: missing, malformed, or `disputed` between the two kinds of headers."""

    scheme: str | None = None
    host: str | None = None
    client: str | None = None
    disputed: tuple[str, ...] = ()


def claim_of(meta: Mapping[str, str], peer: str, is_proxy: IsProxy) -> Claim:
    """Return the claims of the trusted proxy `peer` about its request.

    A proxy sets one kind of header and passes on the client's other kind, and its kind is unknown here. If either kind
    won, a client could forge its address through a proxy that sets the other. So if both kinds are present, their
    contradictions are not believed.
    """
    by_x = _x_claim(meta, is_proxy) if any(header in meta for header in X_HEADERS) else None
    if HEADER not in meta:
        return by_x or Claim(client=peer)
    standard = _standard_claim(meta[HEADER], is_proxy)
    if by_x is None:
        return standard
    return _merged(by_x, standard)


def _merged(one: Claim, other: Claim) -> Claim:
    """Merge the claims of both kinds of headers.

    Scheme and host of only one kind are believed, though they may be the client's: behind a proxy that sets neither, a
    client can send one kind alone, and chooses `Host` anyway. Both affect only the answer to that request, no page can
    make a browser send these headers, and the names are checked like `Host`. The client address, on which access,
    limits and logs depend, has to be in both.
    """
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in ("scheme", "host", "client")}
    disputed = tuple(
        name for name, (this, that) in pairs.items() if this != that and (name == "client" or (this and that))
    )
    scheme, host, client = (None if name in disputed else this or that for name, (this, that) in pairs.items())
    return Claim(scheme, host, client, disputed)


def _x_claim(meta: Mapping[str, str], is_proxy: IsProxy) -> Claim:
    """Parse `X-Forwarded-Proto`, `-Host` and `-For`; of the first two the nearest proxy's value counts."""
    client = None
    for part in reversed(meta.get(X_FORWARDED_FOR, "").split(",")):
        if not part.strip():
            continue
        client = address_of(part)
        if client is None or not is_proxy(client):
            break
    scheme, host = (meta.get(f"HTTP_X_FORWARDED_{name}", "").rpartition(",")[2].strip() for name in ("PROTO", "HOST"))
    return Claim(_scheme(scheme), host or None, client)


def _standard_claim(header: str, is_proxy: IsProxy) -> Claim:
    """Parse `Forwarded`; of scheme and host the outermost trusted proxy's value counts."""
    claim = Claim()
    for element in _elements(header):
        client = address_of(element.get("for", ""))
        scheme, host = _scheme(element.get("proto", "")) or claim.scheme, element.get("host") or claim.host
        claim = Claim(scheme, host, client)
        if client is None or not is_proxy(client):
            break
    return claim


def _elements(header: str) -> Iterator[dict[str, str]]:
    """Yield the elements from the right, up to the first malformed one, which is empty.

    A comma ends an element even in quotes: no address, name or scheme has one, and a client's unclosed quote would hide
    the proxy's element after it.
    """
    for text in reversed(header.split(",")):
        pairs = [_PAIR.fullmatch(pair) for pair in text.split(";") if pair.strip()]
        element = {pair["name"].lower(): pair["quoted"] or pair["token"] or "" for pair in pairs if pair}
        # A repeated parameter is ambiguous, and so malformed.
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
    """Return the address in its plain form, and anything else (a unix socket's peer) unchanged."""
    return address_of(address) or address


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that counts as one client: an IPv4 address, or an IPv6 /64, since every home has one."""
    plain = plain_address(address)
    try:
        return str(IPv6Address(int(IPv6Address(plain)) >> 64 << 64))
    except ValueError:
        return plain


@lru_cache(maxsize=4096)
def site_of(network: str) -> str:
    """Return the /48 of an IPv6 /64, the most that providers give to one site; anything else unchanged."""
    try:
        return str(IPv6Address(int(IPv6Address(network)) >> 80 << 80))
    except ValueError:
        return network


def listed_in(networks: Sequence[IPv4Network | IPv6Network]) -> IsProxy:
    """Return a cached predicate for addresses of sockets: is this one in one of `networks`?"""

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
