"""The webhooks of the section, and their entries as values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from configuration.converters import BOOLEAN, Value, choice, items, pattern, text
from configuration.element import REFUSED, Members, Reading, Refused, quoted
from configuration.section import Key, Section
from configuration.webhooks.headers import MAX_CHARACTERS, MAX_HEADERS, VALUE, VALUE_EXPECTED, wrong_name
from core.outgoing import addresses

EVENTS = (
    *("manifest.push", "tag.move", "tag.delete", "manifest.delete", "repository.delete"),
    *("blob.push", "blob.mount", "blob.delete", "manifest.pull", "blob.pull"),
)
FORMATS = ("distribution", "cloudevents")
_WEBHOOKS = "a mapping of names to webhooks, {} for none, or no key `webhooks` to keep them in the admin only"
_NAME = "a name of at most 64 letters, digits, _ and -"
_URL = 'a URL as "https://ci.example.org/hooks/registry", without user, password and fragment'
_SIGNS = "32 to 256 printable ASCII characters, as `openssl rand -base64 32` makes them"
_EVENTS = f"a list of at least one of {', '.join(EVENTS)}"
_LIST = items(choice(*EVENTS), _EVENTS)
_REPOSITORIES = 'the name of a repository or a pattern as "myorg/*"'
_HEADERS = f"a mapping of at most {MAX_HEADERS} names to `value` or `value_file`"
_CA = "certificates in PEM, without a key"
BEGIN = "-----BEGIN CERTIFICATE-----"


def _url(url: str, _reading: Reading) -> str:
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Refused(_URL) from None
    if "@" in parts.netloc:
        raise Refused(_URL, "a URL with a user")
    if not is_complete or parts.fragment or set("#\\").intersection(parts.netloc + url[-1:]):
        raise Refused(_URL)
    return url


def _ca(given: Any, _reading: Reading) -> str:
    if not isinstance(given, str):
        raise Refused(_CA, kind="text")
    # The import looks closer (`webhooks.models`).
    if BEGIN not in given or "PRIVATE KEY" in given:
        raise Refused(_CA)
    # As the form of the admin saves it: otherwise a save would count as an edit.
    return "\n".join(given.strip().splitlines())


def _check_headers(given: Any) -> Any:
    if given is not REFUSED and not (isinstance(given, Members) and len(given) <= MAX_HEADERS):
        raise Refused(_HEADERS, kind="mapping")
    for name, element in given.elements.items() if isinstance(given, Members) else ():
        if wrong := wrong_name(name):
            element.report(wrong, quoted(name))
    return given


class Header(TypedDict, total=False):
    """A header of each request."""

    value: Annotated[
        str, text(VALUE_EXPECTED, VALUE, MAX_CHARACTERS), Key("Its value.", is_secret=True, required=VALUE_EXPECTED)
    ]


class WebhookFile(TypedDict, total=False):
    """A service that is told of events."""

    url: Annotated[str, text(_URL, r"[Hh][Tt][Tt][Pp][Ss]?://[!-~]+", 2000, _url), Key("Where to.", required=_URL)]
    secret: Annotated[
        str, text(_SIGNS, r"[ -~]{32,256}", 256), Key("Signs each request.", is_secret=True, required=_SIGNS)
    ]
    format: Annotated[str, choice(*FORMATS), Key("The form of a request.")]
    events: Annotated[tuple[str, ...], Value(_LIST.convert, _LIST.json | {"minItems": 1}), Key("Kinds of events.")]
    repositories: Annotated[str, pattern(r"a-z0-9._/-", _REPOSITORIES), Key("Repositories by name or pattern.")]
    enabled: Annotated[bool, BOOLEAN, Key("Whether events are stored and sent.")]
    allow_http: Annotated[bool, BOOLEAN, Key("Whether the URL may be without TLS.")]
    allow_private: Annotated[bool, BOOLEAN, Key("Whether the URL may lead to a private address.")]
    ca: Annotated[
        str,
        Value(_ca, {"type": "string", "pattern": BEGIN}),
        Key("The authorities that count, in place of the system's.", is_secret=True),
    ]
    headers: Annotated[
        dict[str, Annotated[Header, Section()]],
        BeforeValidator(_check_headers),
        Key("Headers to send, as Authorization."),
    ]


def _check(webhook: Members) -> None:
    url = webhook.get("url")
    if isinstance(url, str) and url[:5].lower() == "http:" and not webhook.get("allow_http"):
        webhook.elements["url"].report("https://, or `allow_http: true` beside it", "a URL without TLS")
    if isinstance(url, str) and not webhook.get("allow_private") and addresses.is_private_literal(url):
        webhook.elements["url"].report("another address, or `allow_private: true` beside it", "a private address")
    if webhook.get("events") == []:
        webhook.elements["events"].report(_EVENTS, "none")


def _check_webhooks(given: Any) -> Any:
    if given is not REFUSED and not isinstance(given, Members):
        raise Refused(_WEBHOOKS, kind="mapping")
    for name, element in given.elements.items() if isinstance(given, Members) else ():
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is None:
            element.report(_NAME, quoted(name))
    return given


WebhooksFile = Annotated[
    dict[str, Annotated[WebhookFile, Section(_check)]],
    BeforeValidator(_check_webhooks),
]


@dataclass(frozen=True, slots=True)
class WebhookEntry:
    """One entry of `webhooks`; `events` of None are the usual ones."""

    name: str
    url: str
    secret: str = field(repr=False)
    envelope: str = "distribution"
    events: tuple[str, ...] | None = None
    repositories: str = "*"
    is_active: bool = True
    allow_http: bool = False
    allow_private: bool = False
    ca: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    line: int = 0


_FIELDS = {"format": "envelope", "enabled": "is_active"}
"""The fields that have another name in the file."""


def webhook_entries(section: Mapping[str, Mapping[str, Any]], members: Members) -> tuple[WebhookEntry, ...]:
    """Return the entries of the section."""
    found = []
    for name, webhook in section.items():
        values = {_FIELDS.get(key, key): value for key, value in webhook.items() if key != "headers"}
        headers = tuple(sorted((header, given["value"]) for header, given in webhook.get("headers", {}).items()))
        found.append(WebhookEntry(name=name, headers=headers, line=members.elements[name].line, **values))
    return tuple(found)
