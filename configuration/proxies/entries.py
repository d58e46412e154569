"""The list, and its entries as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from configuration.converters import BOOLEAN, COMMENT, PATH, PUBLIC_URL, SECRET_OPTION, Value, duration, text
from configuration.element import REFUSED, Element, Items, Members, Reading, Refused
from configuration.policies.globs import REPOSITORIES
from configuration.section import Key, Section
from core.durations import format_duration
from core.outgoing import addresses

_URL = "the URL of a registry"
_MAX_TIMEOUT = timedelta(minutes=5)
_PREFIX = text('the beginning of names as "hub/", with its slash', r"(?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*/)+", 200)


def _duration(minimum: timedelta, expected: str = "", **bounds: timedelta) -> Value:
    """Return a converter of durations to the string of the column."""
    read = duration(minimum, expected, **bounds)

    def convert(value: Any, reading: Reading) -> str:
        return format_duration(read.convert(value, reading))

    return replace(read, convert=convert)


_TIMEOUT = _duration(timedelta(milliseconds=100), "from 100ms to 5m", maximum=_MAX_TIMEOUT)
_FILE = replace(PATH, convert=lambda value, reading: str(PATH.convert(value, reading)))


class ProxyFile(TypedDict, total=False):
    """Repositories whose missing content is fetched from another registry, and kept."""

    prefix: Annotated[str, _PREFIX, Key("The beginning of the names here; without it the whole registry falls back.")]
    url: Annotated[str, PUBLIC_URL, Key("The upstream.", required=_URL)]
    repositories: Annotated[str, REPOSITORIES, Key("Only these, by glob of their names here.")]
    username: Annotated[str, COMMENT, Key("The account at the upstream.")]
    password: Annotated[str, SECRET_OPTION, Key("Its password or access token.", is_secret=True)]
    ca_file: Annotated[str, _FILE, Key("Certificate authorities besides the system's.")]
    tag_ttl: Annotated[str, _duration(timedelta()), Key("How old a tag may be before the upstream is asked.")]
    connect_timeout: Annotated[str, _TIMEOUT, Key("For a connection.")]
    read_timeout: Annotated[str, _TIMEOUT, Key("For the next bytes.")]
    keep_unused: Annotated[
        str, _duration(timedelta(hours=1), "of at least 1h"), Key("How long content stays that nobody pulls.")
    ]
    allow_private_addresses: Annotated[bool, BOOLEAN, Key("Whether the upstream may be in a private network.")]
    enabled: Annotated[bool, BOOLEAN, Key("Whether anything is fetched.")]
    comment: Annotated[str, COMMENT, Key("For you.")]


def _check(proxy: Members) -> None:
    """Report what the model refuses too (`upstreams.models`)."""
    if ("password" in proxy or "password_file" in proxy) and "username" not in proxy:
        proxy.element.below("username").report("the account that the password belongs to", "nothing")
    url = proxy.get("url")
    if isinstance(url, str) and not proxy.get("allow_private_addresses") and addresses.is_private_literal(url):
        expected = "another address, or `allow_private_addresses: true` beside it"
        proxy.elements["url"].report(expected, "a private address")
    prefix = proxy.get("prefix", "")
    if prefix == "" and not proxy.get("repositories", ()):
        proxy.element.below("repositories").report('the names that fall back, ["*"] for all', "nothing")
    found = proxy.get("repositories", ())
    for name in [found] if isinstance(found, str) else found if isinstance(found, Items) else ():
        if isinstance(name, str) and isinstance(prefix, str) and not name.startswith(prefix) and name[:1] not in "*?[":
            proxy.elements["repositories"].report(f"names here, which begin with {prefix}")


def _check_list(given: Any) -> Any:
    if given is REFUSED:
        return given
    if not isinstance(given, Items):
        raise Refused("a list of proxies, [] for none, or no key `proxies` to keep them in the admin only")
    prefixes: dict[str, Element] = {}
    for values, element in zip(given, given.elements, strict=True):
        prefix = values.get("prefix", "") if isinstance(values, Members) else None
        if not isinstance(prefix, str):
            continue
        if prefix in prefixes:
            element.report("each prefix once, and one proxy without a prefix", f"{prefix or 'no prefix'} again")
        prefixes[prefix] = element
    return given


PROXIES = Annotated[list[Annotated[ProxyFile, Section(_check)]], BeforeValidator(_check_list)]


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """One entry; `values` are those of the columns that it names."""

    prefix: str
    values: tuple[tuple[str, Any], ...]
    password: str = field(default="", repr=False)
    line: int = 0


def entries(found: list[Mapping[str, Any]], items: Items) -> tuple[ProxyEntry, ...]:
    """Return the entries of the list."""
    return tuple(
        ProxyEntry(
            values.get("prefix", ""),
            tuple(sorted((name, value) for name, value in values.items() if name != "password")),
            values.get("password", ""),
            element.line,
        )
        for values, element in zip(found, items.elements, strict=True)
    )
