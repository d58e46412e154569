"""The section `server`."""

import os
import re
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from configuration.converters import boolean, choice, file_path, integer, list_of, text
from configuration.element import BOOLEAN, REFUSED, Element, Refused
from configuration.section import Key, Section, Values
from configuration.sections.limits import LIMITS
from configuration.values import Network, Server

MIN_SECRET_KEY_CHARACTERS = 32

_ADDRESS = 'an address as ":5000", "127.0.0.1:5000" or "[::1]:5000"'
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9.]*|localhost)):(?P<port>[1-9][0-9]{0,4})")
_SECRET_KEY = f"a text of at least {MIN_SECRET_KEY_CHARACTERS} characters, as `openssl rand -base64 32` makes it"
_PUBLIC_URL = 'a URL as "https://registry.example.org", without path or query'
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_PROXY = 'an IP address or a network as "10.0.0.0/8"'


def address(element: Element) -> tuple[str, int]:
    """Return host (no brackets; empty for every address) and port."""
    match = _HOST_AND_PORT.fullmatch(element.text(_ADDRESS))
    if match is None or int(match["port"]) > 65535:
        raise Refused(_ADDRESS)
    host = match["v6"] or match["host"]
    try:
        if host not in ("", "localhost") and isinstance(ip_address(host), IPv6Address) != bool(match["v6"]):
            raise Refused(_ADDRESS)
        # The kernel names the socket by the IPv4 address, under which nobody would look for it.
        if match["v6"] and (mapped := IPv6Address(host).ipv4_mapped):
            raise Refused(f'{_ADDRESS}: write "{mapped}:{match["port"]}"')
    except ValueError:
        raise Refused(_ADDRESS) from None
    return host, int(match["port"])


def public_url(element: Element) -> str:
    """Return the URL that clients use, as an origin: no default port, no slash at its end."""
    url = element.text(_PUBLIC_URL)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused(_PUBLIC_URL) from None
    is_origin = parts.path in ("", "/") and not set("?#@").intersection(url)
    if parts.scheme not in _DEFAULT_PORTS or not is_origin or port == 0 or _HOST.fullmatch(host) is None:
        raise Refused(_PUBLIC_URL)
    # As browsers write an origin, to compare it with theirs.
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{shown_port}"


def network(element: Element) -> Network:
    """Return the network of one address or one CIDR block."""
    given = element.text(_PROXY)
    try:
        return ip_network(given)
    except ValueError:
        raise Refused(_PROXY + _nearest_network(given)) from None


def access_log(element: Element) -> str:
    """Return the form of the access log; `off` without quotes is a boolean to YAML, and is meant all the same."""
    node = element.node
    return "off" if node.tag == BOOLEAN and node.value.lower() == "off" else choice("off", "text", "json")(element)


def default_workers() -> int:
    """Return one process per core this process may use, at least 2 and at most 4."""
    return max(2, min(len(os.sched_getaffinity(0)), 4))


def _nearest_network(given: str) -> str:
    try:
        return f'; did you mean "{ip_network(given, strict=False)}"?'
    except ValueError:
        return ""


def _no_tls(element: Element) -> bool:
    if boolean(element):
        raise Refused(
            "false: put a reverse proxy with TLS in front, as docker-compose.traefik.yml does, "
            "and set server.public_url and server.trusted_proxies"
        )
    return False


def _check(values: Values, element: Element) -> None:
    given = {name: values[name] for name in ("max_slow_clients", "threads") if name in values}
    limits = values.get("limits")
    if limits in (None, REFUSED) or REFUSED in given.values():
        return
    server = Server(**given)
    # A share above all that there is would bound nobody.
    bounds = {
        "transfers_per_client": (server.max_slow_clients, "server.max_slow_clients"),
        "connections_per_client": (server.connections, "the connections of a process"),
    }
    for key, (most, what) in bounds.items():
        if (getattr(limits, key) or 0) > most:
            element.members()["limits"].members()[key].report(f"at most {what} ({most})")


def _build_tls(_values: Values, _element: Element) -> None:
    """Keep nothing: TLS is the reverse proxy's."""


def _build(values: Values, _element: Element) -> Values:
    """Return the fields of a `Server`, with no default for `data_directory`: the storage decides it."""
    fields: Values = {"workers": default_workers()} | values
    fields.pop("tls", None)
    if "addr" in fields:
        fields["host"], fields["port"] = fields.pop("addr")
    return fields


SERVER = Section(
    {
        "addr": Key(address),
        "tls": Key(Section({"enabled": Key(_no_tls)}, _build_tls)),
        "public_url": Key(public_url),
        "trusted_proxies": Key(list_of(network, 'a list of IP addresses and networks, as ["10.0.0.0/8"]')),
        "workers": Key(integer(1, 64)),
        "threads": Key(integer(2, 1024)),
        "max_slow_clients": Key(integer(1, 4096), old_name="transfers"),
        "limits": Key(LIMITS),
        "pin_workers": Key(boolean),
        "access_log": Key(access_log),
        "data_directory": Key(file_path),
        "watch_config": Key(boolean),
        "secret_key": Key(
            text(_SECRET_KEY, f".{{{MIN_SECRET_KEY_CHARACTERS},}}", 4096),
            is_secret=True,
            environment="REGISTRY_SERVER_SECRET_KEY",
        ),
    },
    _build,
    _check,
)
