"""The addresses that requests to other services may be sent to.

A name is resolved once; every address is checked, and the connection is made to a checked one: a name that resolves
otherwise a moment later (DNS rebinding) changes nothing.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+")
# Printable ASCII without a space: nothing that ends a request line or a header.
_URL = re.compile(r"[!-~]+")
# IPv4 addresses in their last 32 bits: NAT64, "IPv4-translated", and the deprecated "IPv4-compatible" form.
_ENDING_IN_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("::/96"))
# NAT64 of a network's own, whose operator decides where in it an IPv4 address is; and site-local addresses.
_NEVER = (IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"))
# Of the metadata services of AWS, Alibaba Cloud and Oracle Cloud; the others are link-local.
_METADATA = {IPv6Address("fd00:ec2::254"), IPv4Address("100.100.100.200"), IPv4Address("192.0.0.192")}

Address = IPv4Address | IPv6Address


class RefusedAddressError(Exception):
    """Nothing is sent to this URL or address."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL: `path` has the query, `host` is without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, *, allow_http: bool, allow_private: bool) -> Target:
    """Return the parts of a URL. Raises RefusedAddressError; the address of a name is checked when it is resolved."""
    example = 'a URL as "https://ci.example.org/hooks/registry", without user, password and fragment'
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise RefusedAddressError(f"This is not {example}.") from None
    if parts.scheme not in _PORTS or _URL.fullmatch(url) is None or set("@#\\").intersection(parts.netloc + url[-1:]):
        raise RefusedAddressError(f"This is not {example}.")
    if parts.fragment or _HOST.fullmatch(host) is None or port == 0:
        raise RefusedAddressError(f"This is not {example}.")
    if parts.scheme == "http" and not allow_http:
        raise RefusedAddressError("The URL is without TLS: use https://, or allow http:// here.")
    target = Target(
        parts.scheme,
        host,
        _PORTS[parts.scheme] if port is None else port,
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    try:
        literal = ip_address(host)
    except ValueError:
        return target
    if reason := refusal_of(literal, allow_private=allow_private):
        raise RefusedAddressError(f"{host} is {reason}.")
    return target


def is_private_literal(url: str) -> bool:
    """Tell whether the host is written as an address that only `allow_private` opens."""
    try:
        check_url(url, allow_http=True, allow_private=True)
    except RefusedAddressError:
        return False
    try:
        check_url(url, allow_http=True, allow_private=False)
    except RefusedAddressError:
        return True
    return False


def resolve(target: Target, *, allow_private: bool) -> str:
    """Return an address of the host that may be used. Raises RefusedAddressError, OSError."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    reasons = []
    for *_, place in found:
        # Without the zone of an IPv6 address, which only link-local ones have.
        text = str(place[0]).partition("%")[0]
        reason = refusal_of(ip_address(text), allow_private=allow_private)
        if not reason:
            return text
        reasons.append(f"{target.host} is at {text}, {reason}")
    raise RefusedAddressError(reasons[0] if reasons else f"{target.host} has no address")


def refusal_of(address: Address, *, allow_private: bool) -> str:
    """Return why nothing is sent to the address, "" if it may be used."""
    for inner in (address, *_embedded(address)):
        if inner in _METADATA or any(inner in network for network in _NEVER):
            return "an address of a metadata service, or of a reserved network, which is never allowed"
        if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
            return "a link-local, multicast or unspecified address, which is never allowed"
        is_private = inner.is_private or inner.is_loopback or not inner.is_global
        if is_private and inner is address and _embedded(address):
            # The form is reserved; the address in it decides.
            continue
        if is_private and not allow_private:
            return "a private address: allow private addresses here, if you trust who may change the URL"
    return ""


def _embedded(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address leads to: mapped, translated, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address] = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
    if address.teredo is not None:
        found.extend(address.teredo)
    # `::` and `::1` are none of these.
    if int(address) > 1 and any(address in network for network in _ENDING_IN_IPV4):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return found
