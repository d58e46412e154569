"""Convert single values of the file for pydantic; each converter raises Refused with what is expected."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

import dj_database_url
from pydantic import ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from acl.actions import ALL
from acl.glob import ACCOUNT, PATTERN_MAX_CHARACTERS, InvalidPatternError, check_glob
from acl.glob import GROUP as GROUPS_OF_ACCOUNT
from acl.networks import MAX_NETWORKS, InvalidNetworkError, Network, in_order, parse_network
from acl.until import InvalidUntilError, parse_until
from configuration.element import REFUSED, Items, Members, Odd, Reading, Refused
from core.durations import MAX_DURATION, InvalidDurationError, parse_duration


@dataclass(frozen=True, slots=True)
class Value:
    """A converter of one value, given the context of the reading; `json` is the JSON Schema of the value."""

    convert: Callable[[Any, Reading], Any]
    json: dict[str, Any]

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        """Return a schema that calls `convert` alone."""
        return core_schema.with_info_plain_validator_function(lambda value, info: self.convert(value, info.context))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: object) -> dict[str, Any]:
        """Return the JSON Schema of the value in the file."""
        return dict(self.json)


def text(
    expected: str,
    pattern: str = r".+",
    max_characters: int = 255,
    convert: Callable[[str, Reading], Any] = lambda value, _reading: value,
) -> Value:
    """Return a converter of strings that match the whole `pattern`; `convert` makes the value."""
    compiled = re.compile(pattern)

    def read(value: Any, reading: Reading) -> Any:
        if not isinstance(value, str):
            raise Refused(expected, kind="text")
        if not value.isprintable():
            raise Refused(f"{expected}, without control characters")
        if len(value) > max_characters:
            raise Refused(f"{expected}, of at most {max_characters} characters")
        if compiled.fullmatch(value) is None:
            raise Refused(expected)
        return convert(value, reading)

    return Value(read, {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": max_characters})


def integer(minimum: int, maximum: int) -> Value:
    """Return a converter of decimal numbers from `minimum` to `maximum`."""

    def read(value: Any, _reading: Reading) -> Any:
        if type(value) is not int or not minimum <= value <= maximum:
            raise Refused(f"a number from {minimum} to {maximum}, without quotes")
        return value

    return Value(read, {"type": "integer", "minimum": minimum, "maximum": maximum})


def _boolean(value: Any, _reading: Reading) -> Any:
    if not isinstance(value, bool):
        raise Refused("true or false, without quotes")
    return value


def constant(only: bool, expected: str) -> Value:
    """Return a converter that accepts one of true and false alone."""

    def read(value: Any, reading: Reading) -> Any:
        if _boolean(value, reading) is not only:
            raise Refused(expected)
        return value

    return Value(read, {"const": only})


def choice(*values: str) -> Value:
    """Return a converter that accepts one of `values`."""
    *others, last = values
    expected = f"{', '.join(others)} or {last}"
    return Value(text(expected, "|".join(map(re.escape, values))).convert, {"enum": list(values)})


def items(item: Value, expected: str) -> Value:
    """Return a converter of lists; a duplicate value is a problem."""

    def read(given: Any, reading: Reading) -> tuple[Any, ...]:
        values: list[Any] = []
        errors: list[InitErrorDetails] = []
        if not isinstance(given, Items):
            raise Refused(expected)
        for index, element in enumerate(given.elements):
            try:
                value = item.convert(given[index], reading)
            except Refused as refused:
                error = PydanticCustomError("refused", "refused", {"error": refused})
                errors.append({"type": error, "loc": (index,), "input": given[index]})
                continue
            if value in values:
                element.report("each value once", f"{element.shown()} again")
            values.append(value)
        if errors:
            raise ValidationError.from_exception_data("items", errors)
        return tuple(values)

    return Value(read, {"type": "array", "items": item.json, "uniqueItems": True})


def duration(minimum: timedelta, expected: str = "", maximum: timedelta = MAX_DURATION) -> Value:
    """Return a converter of durations from `minimum` to `maximum`, which `expected` tells the user."""

    def convert(value: str, _reading: Reading) -> timedelta:
        try:
            found = parse_duration(value)
        except InvalidDurationError:
            raise Refused(_DURATION) from None
        if not minimum <= found <= maximum:
            raise Refused(f"{_DURATION}, {expected}")
        return found

    return text(_DURATION, r"0|(?:[0-9.]+(?:h|ms|m|s|us|µs|μs|ns))+", convert=convert)


def size(expected: str, minimum: int, maximum: float = float("inf"), *, too_small: str = "") -> Value:
    """Return a converter of sizes in bytes from `minimum` to `maximum`."""

    def convert(value: str, _reading: Reading) -> int:
        number, unit = value[:-3], value[-3:]
        found = int(Fraction(number) * _UNITS[unit])
        if not minimum <= found <= maximum:
            raise Refused(expected + too_small)
        return found

    return text(expected, _SIZE, convert=convert)


def plain(given: Any, reading: Reading) -> Any:
    """Return the Python value of strings, decimal numbers, true, false, null, lists and mappings."""
    if isinstance(given, Members):
        pairs = [(element, given[name]) for name, element in given.elements.items()]
        return dict(zip(given.elements, (_plain_below(*pair, reading) for pair in pairs), strict=True))
    if isinstance(given, Items):
        return [_plain_below(element, value, reading) for element, value in zip(given.elements, given, strict=True)]
    if isinstance(given, str) and not given.isprintable():
        raise Refused("a string, without control characters")
    if isinstance(given, Odd):
        raise Refused("a string, a decimal number, true or false", kind="text")
    return given


def _plain_below(element: Any, value: Any, reading: Reading) -> Any:
    if isinstance(value, Odd):
        is_boolean = element.kind == "a boolean"
        element.refuse(Refused("true or false, without quotes") if is_boolean else Refused("a string", kind="text"))
        return value
    try:
        return plain(value, reading)
    except Refused as refused:
        element.refuse(refused)
        return value


def _address(value: str, _reading: Reading) -> tuple[str, int]:
    """Return host (no brackets; empty for every address) and port."""
    host, _, port = value.rpartition(":")
    is_v6, host = host.startswith("["), host.strip("[]")
    try:
        ip = None if host in ("", "localhost") else ip_address(host)
    except ValueError:
        raise Refused(_ADDRESS) from None
    if isinstance(ip, IPv6Address) != is_v6 or int(port) > 65535:
        raise Refused(_ADDRESS)
    # The kernel reports such a socket under its IPv4 address, which would not match the configured one.
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        raise Refused(f'{_ADDRESS}: write "{ip.ipv4_mapped}:{port}"')
    return host, int(port)


def _public_url(url: str, _reading: Reading) -> str:
    """Return the URL as an origin: without default port and trailing slash."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused(_PUBLIC_URL) from None
    is_origin = parts.path in ("", "/") and not set("?#@").intersection(url)
    if parts.scheme not in _DEFAULT_PORTS or not is_origin or port == 0 or _HOST.fullmatch(host) is None:
        raise Refused(_PUBLIC_URL)
    # In the form in which browsers send an origin, since the two are compared.
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{shown_port}"


def _network(given: str, _reading: Reading) -> Any:
    """Return the network of an address or CIDR block."""
    try:
        return ip_network(given)
    except ValueError:
        pass
    try:
        nearest = f'; did you mean "{ip_network(given, strict=False)}"?'
    except ValueError:
        nearest = ""
    raise Refused(_PROXY + nearest)


def _database_url(url: str, reading: Reading) -> str:
    """Return the URL of a SQLite database, with an absolute path, or of PostgreSQL."""
    try:
        scheme, host, _path, query, _fragment = urlsplit(url)
    except ValueError:
        raise Refused(_URL) from None
    if scheme not in ("sqlite", "postgres", "postgresql"):
        raise Refused(f"{_URL}: SQLite and PostgreSQL are supported")
    if scheme == "sqlite" and host:
        raise Refused(f"{_URL}: sqlite:/// and then the path; an absolute path begins with another /")
    try:
        name = dj_database_url.parse(url).get("NAME", "")
    except ValueError:
        raise Refused(_URL) from None
    if not name or name == ":memory:" or "\0" in name:
        raise Refused(f"{_URL}, with the name of a database")
    if scheme != "sqlite":
        return url
    return f"sqlite:///{quote(str(reading.folder / name))}" + (f"?{query}" if query else "")


def _hmac_secret(value: str, _reading: Reading) -> str:
    """Return the secret of at least 32 bytes, the minimum for HS256 (RFC 7518, section 3.2)."""
    if len(value.encode()) < MIN_HMAC_SECRET_BYTES:
        raise Refused(HMAC_SECRET_EXPECTED)
    return value


def _reserve(value: str, _reading: Reading) -> tuple[int | None, Fraction | None]:
    """Return the size in bytes or the share of the disk; the other one is None."""
    if value == "0":
        return 0, None
    if not value.endswith("%"):
        return int(Fraction(value[:-3]) * _UNITS[value[-3:]]), None
    share = Fraction(value[:-1]) / 100
    if share >= 1:
        raise Refused(f"{_RESERVE}; the share is below 100%")
    return None, share


def _password(value: str, _reading: Reading) -> str:
    """Return the bcrypt hash unchanged."""
    if value == PLACEHOLDER:
        raise Refused(f"a bcrypt hash in its place; {_HOW}", "the placeholder of config.example.yaml")
    cost = int(value[4:6])
    if not MIN_COST <= cost <= MAX_COST:
        raise Refused(f"a cost from {MIN_COST} to {MAX_COST}; {_HOW}", f"a bcrypt hash of cost {cost}")
    return value


def _rule_network(value: str, _reading: Reading) -> Network:
    try:
        return parse_network(value)
    except InvalidNetworkError as error:
        raise Refused(f"{_PROXY} ({error})") from None


def _rule_networks(given: Any, reading: Reading) -> tuple[Network, ...]:
    """Return the networks in their order; an empty list may be meant as nobody or as everybody."""
    if isinstance(given, Items) and not given:
        raise Refused("at least one network, or no such key for every address", "an empty list")
    if isinstance(given, Items) and len(given) > MAX_NETWORKS:
        raise Refused(f"at most {MAX_NETWORKS} networks", f"{len(given)}")
    return in_order(items(text(_PROXY, convert=_rule_network), _NETWORKS).convert(given, reading))


def _until(given: Any, _reading: Reading) -> datetime:
    try:
        # Without quotes YAML reads a date; its text is meant.
        return parse_until(str(given.written if isinstance(given, Odd) else given))
    except InvalidUntilError as error:
        raise Refused(str(error)) from None


def _actions(given: Any, _reading: Reading) -> tuple[str, ...]:
    """Return the actions in the order of `acl.actions.ALL`."""
    if not isinstance(given, Items):
        raise Refused(ACTIONS_EXPECTED)
    if not given:
        raise Refused(ACTIONS_EXPECTED, "an empty list")
    for element, action in zip(given.elements, given, strict=True):
        if action is not REFUSED and action not in ALL:
            # The message names the key alone, without the index in the list.
            key_path = element.key_path.rpartition("[")[0]
            refused = Refused(ACTIONS_EXPECTED, kind="" if isinstance(action, str) else "text")
            element.at(element.node, key_path).refuse(refused)
    return tuple(action for action in ALL if action in given)


def pattern(characters: str, expected: str, placeholder: str = "") -> Value:
    """Return a converter of a name, or a pattern of names, of `characters`."""

    def convert(value: str, _reading: Reading) -> str:
        try:
            check_glob(value)
        except InvalidPatternError as error:
            raise Refused(f"{expected} ({error})") from None
        return value

    allowed = rf"(?:[*?\[\]!{characters}]|\*\(\[[^\]]+\]\){placeholder and '|' + placeholder})+"
    return text(expected, allowed, PATTERN_MAX_CHARACTERS, convert)


MIN_SECRET_KEY_CHARACTERS = 32
MIN_HMAC_SECRET_BYTES = 32
PLACEHOLDER = "PUT-A-BCRYPT-HASH-HERE"
"""The value in `config.example.yaml` that a hash has to replace."""
MIN_COST, WARNED_BELOW_COST, MAX_COST = 4, 10, 16

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = rf"[0-9]{{1,9}}(?:\.[0-9]{{1,3}})?(?:{'|'.join(_UNITS)})"
_DURATION = 'a duration as "24h", "1h30m" or "90s"'
_ADDRESS = 'an address as ":5000", "127.0.0.1:5000" or "[::1]:5000"'
_HOST_AND_PORT = r"(?:\[[0-9A-Fa-f:.]+\]|[0-9.]*|localhost):[1-9][0-9]{0,4}"
_PUBLIC_URL = 'a URL as "https://registry.example.org", without path or query'
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_NETWORKS = 'a list of IP addresses and networks, as ["10.0.0.0/8"]'
_TAGS = 'a tag or a pattern of tags as "v*", for push and delete'
_PROXY = 'an IP address or a network as "10.0.0.0/8"'
_URL = 'a URL as "postgresql://user:password@host:5432/name" or "sqlite:////data/registry.sqlite3"'
_RESERVE = 'a size as "1GiB" or "500MiB", a share of the disk as "5%", or "0"'
_HASH = rf"\$2[aby]\$[0-9]{{2}}\$[./A-Za-z0-9]{{53}}|{PLACEHOLDER}"
_HOW = "make one with `htpasswd -nbBC 10 user password` or `manage.py hashpassword`"
_SECRET_KEY = f"a string of at least {MIN_SECRET_KEY_CHARACTERS} characters, as `openssl rand -base64 32` makes it"
_METRICS_CREDENTIAL = "at least 32 letters, digits and . _ ~ + / - =, as `openssl rand -base64 32` makes them"
_ACCOUNT = 'the name of an account or a pattern of names: "*" is everyone signed in'
_BLOB_SIZE = 'a size as "10GiB" or "500MiB"'
NO_TLS = (
    "false: put a reverse proxy with TLS in front, as docker-compose.traefik.yml does, "
    "and set server.public_url and server.trusted_proxies"
)
HMAC_SECRET_EXPECTED = f"a string of at least {MIN_HMAC_SECRET_BYTES} bytes, as `openssl rand -base64 32` makes it"
PASSWORD_EXPECTED = f"a bcrypt hash ($2a$, $2b$ or $2y$, 60 characters); {_HOW}"
ACTIONS_EXPECTED = f"a list of {', '.join(ALL)}"
NAME_EXPECTED = (
    'the name of a repository, in lower case and without a host, or a pattern of names as "myorg/*", "*" or '
    f'"{ACCOUNT}/*"'
)

_LOG = choice("off", "text", "json")

BOOLEAN = Value(_boolean, {"type": "boolean"})
PATH = text("a path", max_characters=4096, convert=lambda value, reading: reading.folder / value)
HOST = text(_ADDRESS, _HOST_AND_PORT, convert=lambda value, reading: _address(value, reading)[0])
PORT = text(_ADDRESS, _HOST_AND_PORT, convert=lambda value, reading: _address(value, reading)[1])
PUBLIC_URL = text(_PUBLIC_URL, r" *[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/? *", convert=_public_url)
NETWORKS = items(text(_PROXY, convert=_network), _NETWORKS)
# Realm and service are quoted strings of the header WWW-Authenticate.
QUOTED_STRING = text('printable ASCII characters, without " and \\', r"[ !#-\[\]-~]+")
SECRET_KEY = text(_SECRET_KEY, f".{{{MIN_SECRET_KEY_CHARACTERS},}}", 4096)
METRICS_TOKEN = text(_METRICS_CREDENTIAL, r"[0-9A-Za-z._~+/-]{32,}=*", 4096)
HMAC_SECRET = text(HMAC_SECRET_EXPECTED, max_characters=4096, convert=_hmac_secret)
DATABASE_URL = replace(
    text(_URL, max_characters=4096, convert=_database_url),
    json={"type": "string", "pattern": r"^(?:sqlite:///|postgres(?:ql)?://)."},
)
RESERVE = text(_RESERVE, rf"0|{_SIZE}|[0-9]{{1,9}}(?:\.[0-9]{{1,3}})?%", convert=_reserve)
BLOB_SIZE = size(_BLOB_SIZE, 1, too_small=", above 0")
PASSWORD = text(PASSWORD_EXPECTED, _HASH, convert=_password)
GROUP = text("the name of a group", r"\S(?:.*\S)?", 150)
GROUPS = items(GROUP, "a list of names of groups")
ACTIONS = Value(_actions, {"type": "array", "items": {"enum": list(ALL)}, "minItems": 1})
ACCOUNT_PATTERN = pattern(r"A-Za-z0-9._@+$-", _ACCOUNT)
NAME_PATTERN = pattern(r"a-z0-9._/-", NAME_EXPECTED, f"{re.escape(ACCOUNT)}|{re.escape(GROUPS_OF_ACCOUNT)}")
TAG_PATTERN = pattern(r"A-Za-z0-9._-", _TAGS)
RULE_NETWORKS = Value(_rule_networks, NETWORKS.json | {"minItems": 1, "maxItems": MAX_NETWORKS})
UNTIL = Value(_until, {"type": "string"})
ACCESS_LOG = Value(
    # Without quotes YAML reads a boolean; "off" is meant.
    lambda value, reading: _LOG.convert(
        "off" if isinstance(value, Odd) and value.written.lower() == "off" else value, reading
    ),
    _LOG.json,
)
COMMENT = text("a string", ".*")
PLAIN = Value(plain, {})
OPTION = text("a string", max_characters=4096)
SECRET_OPTION = text("a string", max_characters=65536)
