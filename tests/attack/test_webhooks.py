"""Webhooks that would make the registry send a request to itself, its network or the metadata of its cloud.

Each URL is tried as an administrator's, whose form may refuse it, and as a row that is there already. Nothing listens:
what is looked at is the address that a connection would be made to.
"""

import itertools
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from tests.webhooks.receiver import Receiver, receiving
from webhooks.models import Delivery, Webhook
from webhooks.post import Attempt
from webhooks.queue import Result

METADATA, LOOPBACK, PRIVATE = "169.254.169.254", "127.0.0.1", "10.0.0.7"
SECRET = "a secret of the webhook, of thirty-two bytes or more"


def spellings(address: str) -> list[str]:
    """Return hosts of URLs that some resolver or parser takes for the IPv4 address."""
    a, b, c, d = map(int, address.split("."))
    number = int(IPv4Address(address))
    mapped = IPv6Address(f"::ffff:{address}")
    return [
        address,
        f"{address}.",
        # What inet_aton reads: fewer parts, octal, hexadecimal, mixed.
        *(str(number), f"{a}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{(c << 8) + d}"),
        *(hex(number), f"0{number:o}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        *(f"{a:#x}.{b}.0{c:o}.{d}", f"000{a:o}.{b}.{c}.{d}", f"{number + 2**32}"),
        # IPv6 forms that lead to it.
        *(f"[::ffff:{address}]", f"[{mapped.compressed}]", f"[{mapped.exploded}]", f"[{mapped.exploded.upper()}]"),
        *(f"[64:ff9b::{address}]", f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]"),
        f"[2001:0:{number >> 16:x}:{number & 0xFFFF:x}::]",
        *(f"[::ffff:{address}%25lo]", f"[::ffff:{address}%lo]"),
        # Where parsers differ: users, other separators, other digits, encodings.
        *(
            f"ci.example.org@{address}",
            f"{address}@ci.example.org",
            f"ci.example.org\\@{address}",
            f"{address}#@a.example",
        ),
        *("".join(chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in address), address.replace(".", "。")),
        *(address.replace(".", "%2e"), f"%3{address[0]}{address[1:]}", f" {address}", f"{address}\t", f"{address}\r\n"),
        *(f"[{address}]", f"{address}:0", f"{address}:80:80", f"{address}%00.example.org", f"{address}\0.example.org"),
    ]


NEVER = ("[fe80::1]", "[fe80::1%25eth0]", "0", "0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "224.0.0.1", "[ff02::1]")
NOT_PUBLIC = ("[::1]", "[fd00:ec2::254]", "localhost", "localhost.", "LOCALHOST", "127.1", "0x7f.1", "2130706433")
CASES = [
    *((host, is_allowed) for is_allowed in (True, False) for host in (*spellings(METADATA), *NEVER)),
    *((host, False) for host in (*spellings(LOOPBACK), *spellings(PRIVATE), *NOT_PUBLIC)),
]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the addresses of connections, and make none."""
    made: list[str] = []

    def connect(place: tuple[str, int], *_rest: Any, **_options: Any) -> socket.socket:
        made.append(place[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    return made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Iterator[list[str]]]:
    """Resolve numbers and localhost as the system does, these names as told, and no other: no test asks the network."""
    told: dict[str, Iterator[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host in told:
            found = next(told[host])
            return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]
        if host.lower().rstrip(".") == "localhost":
            return real(host, port, *rest, **options)
        return real(host, port, *rest, **options | {"flags": socket.AI_NUMERICHOST})

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return told


def attempt(url: str, *, allow_private: bool = False) -> Result:
    """Send an event to a URL, as if its row had been there before any check."""
    hook = Webhook(name="ci", url=url, allow_http=True, allow_private=allow_private)
    hook.set_secret(SECRET)
    delivery = Delivery(webhook=hook, event_id="1", kind="test", facts='{"at": ""}')
    return Attempt(hook, delivery, datetime.now(UTC)).run()


def is_harmless(address: str) -> bool:
    found = ip_address(address)
    return found.is_global and not found.is_multicast


@pytest.mark.parametrize(("host", "allow_private"), CASES, ids=ascii)
def test_no_spelling_reaches_what_is_refused(
    connected: list[str], names: dict[str, Any], host: str, allow_private: bool
) -> None:
    for scheme in ("http", "https"):
        result = attempt(f"{scheme}://{host}/latest/meta-data/", allow_private=allow_private)

        assert connected == []
        assert not result.is_delivered
        assert result.outcome.startswith(("not sent: ", "gaierror: "))


@pytest.mark.parametrize(("host", "allow_private"), CASES, ids=ascii)
def test_the_form_refuses_what_needs_no_resolver(host: str, allow_private: bool) -> None:
    """A name, and a number that only a resolver reads, may be saved; the delivery refuses it."""
    hook = Webhook(name="ci", url=f"https://{host}/", allow_private=allow_private)

    is_number = host.strip("[]").replace(".", "").isdigit() and host.count(".") == 3
    with suppress(ValidationError):
        hook.clean()
        assert not is_number or host.startswith("0")
        assert "[" not in host


@pytest.mark.parametrize("refused", [METADATA, "fe80::1", LOOPBACK, "::1", PRIVATE, "fd00::1", "::ffff:10.0.0.7"])
def test_of_a_name_with_both_only_the_public_address_is_used(
    connected: list[str], names: dict[str, Iterator[list[str]]], refused: str
) -> None:
    for found in itertools.permutations(["8.8.8.8", refused]):
        names["hooks.example.org"] = iter([list(found)])
        attempt("https://hooks.example.org/")

    assert connected == ["8.8.8.8", "8.8.8.8"]


@pytest.mark.parametrize("refused", [METADATA, "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"])
def test_a_name_of_the_metadata_is_refused_although_private_addresses_are_allowed(
    connected: list[str], names: dict[str, Iterator[list[str]]], refused: str
) -> None:
    names["hooks.example.org"] = iter([[refused]])

    result = attempt("https://hooks.example.org/", allow_private=True)

    assert connected == []
    assert "which is never allowed" in result.outcome


def test_a_name_that_changes_between_check_and_connection_is_asked_once(
    connected: list[str], names: dict[str, Iterator[list[str]]]
) -> None:
    answers = iter([["8.8.8.8"], [METADATA], [METADATA]])
    names["hooks.example.org"] = answers

    attempt("https://hooks.example.org/")

    assert connected == ["8.8.8.8"]
    assert len(list(answers)) == 2


def test_a_name_that_leads_elsewhere_the_next_time_is_refused_then(
    connected: list[str], names: dict[str, Iterator[list[str]]]
) -> None:
    names["hooks.example.org"] = iter([["8.8.8.8"], [METADATA]])
    attempt("https://hooks.example.org/")

    result = attempt("https://hooks.example.org/")

    assert connected == ["8.8.8.8"]
    assert result.outcome.startswith("not sent: ")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_no_redirect_is_followed(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (f"http://{METADATA}/latest/", "//127.0.0.1/", "https://[::ffff:a9fe:a9fe]/", "file:///etc/passwd")
    with receiving() as receiver:
        made = _counted(monkeypatch)
        for place in places:
            receiver.answer = partial(_redirect, status, place)

            result = attempt(receiver.url, allow_private=True)

            assert result.outcome.startswith(f"{status} ")
            assert "redirects are not followed" in result.outcome
        assert made == [LOOPBACK] * len(places)


def _redirect(status: int, place: str, handler: BaseHTTPRequestHandler, _body: bytes) -> int:
    return Receiver.say(handler, status, Location=place)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the addresses of connections, which are made."""
    made: list[str] = []
    real: Callable[..., socket.socket] = socket.create_connection

    def connect(place: tuple[str, int], *rest: Any, **options: Any) -> socket.socket:
        made.append(place[0])
        return real(place, *rest, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return made


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"http://{PRIVATE}:3128")
    with receiving() as receiver:
        made = _counted(monkeypatch)

        assert attempt(receiver.url, allow_private=True).is_delivered
        assert made == [LOOPBACK]


def test_5000_mutations_reach_public_addresses_alone(connected: list[str], names: dict[str, Any]) -> None:
    """Spellings with characters dropped, doubled, swapped or put in: whatever is connected to is public."""
    chance = random.Random(15)
    seeds = [host for address in (METADATA, LOOPBACK, PRIVATE) for host in spellings(address)]
    for _ in range(5000):
        host = list(chance.choice(seeds))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(host) + 1)
            mutation = chance.randrange(4)
            if mutation == 0 and place < len(host):
                del host[place]
            elif mutation == 1:
                host.insert(place, chance.choice("0123456789abcdefx.:[]%@/\\?#-_ "))
            elif mutation == 2 and 0 < place < len(host):
                host[place - 1], host[place] = host[place], host[place - 1]
            elif place < len(host):
                host.insert(place, host[place])
        attempt(f"http://{''.join(host)}/")

    assert len(connected) > 50
    assert [address for address in connected if not is_harmless(address)] == []
