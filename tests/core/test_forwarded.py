"""What is believed of `Forwarded` and `X-Forwarded-…`, which a proxy that is trusted has sent."""

import time
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.forwarded import Claim, address_of, claim_of

PEER = "10.0.0.1"
CLIENT = "203.0.113.9"

ANY_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)
NEARLY = st.lists(
    st.sampled_from(
        ["for=", "proto=", "host=", "https", CLIENT, "10.0.0.2", "[2001:db8::1]", '"', ",", ";", " ", ":80", "\\"]
    ),
    max_size=12,
).map("".join)
VALUES = ANY_VALUE | NEARLY


def claimed(forwarded: str | None = None, **x_forwarded: str) -> Claim:
    """Return what the proxies 10.0.0.0/8, of which PEER is the nearest, say."""
    meta = {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in x_forwarded.items()}
    if forwarded is not None:
        meta["HTTP_FORWARDED"] = forwarded
    return claim_of(meta, PEER, lambda address: address.startswith("10."))


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("192.0.2.1:_port", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2.1:80:80", None),
        ("[192.0.2.1]x", None),
        ("[2001:db8::1", None),
        ("2001:db8::1]:80", None),
        ("192.0.2.256", None),
        ("192.0.2.1" + " " * 100 + "x", None),
        ("", None),
    ],
)
def test_a_node_is_an_address_with_or_without_a_port(node: str, address: str | None) -> None:
    assert address_of(node) == address


@pytest.mark.parametrize(
    ("forwarded", "claim"),
    [
        ("for=203.0.113.9", Claim(client=CLIENT)),
        ('For="203.0.113.9:4711";Proto=HTTPS;Host="r.example.org:5000"', Claim("https", "r.example.org:5000", CLIENT)),
        ('for="[2001:db8::1]:4711"', Claim(client="2001:db8::1")),
        ("for=203.0.113.9:80;proto=https", Claim("https", None, CLIENT)),
        ("proto=https;host=r.example.org", Claim("https", "r.example.org", None)),
        ("for=203.0.113.9;by=10.0.0.1;secret=a.b", Claim(client=CLIENT)),
        ("for=198.51.100.1, for=203.0.113.9", Claim(client=CLIENT)),
        ("for=198.51.100.1,for=203.0.113.9,for=10.0.0.2", Claim(client=CLIENT)),
        ("for=203.0.113.9;proto=https;host=out, for=10.0.0.2;proto=http;host=in", Claim("https", "out", CLIENT)),
        ("for=203.0.113.9;proto=https, for=10.0.0.2;host=in", Claim("https", "in", CLIENT)),
        ("for=198.51.100.1;proto=https;host=evil, for=203.0.113.9", Claim(client=CLIENT)),
        ("for=203.0.113.9;proto=gopher", Claim(client=CLIENT)),
    ],
)
def test_forwarded_is_read_from_the_right_through_proxies_that_are_trusted(forwarded: str, claim: Claim) -> None:
    assert claimed(forwarded) == claim


@pytest.mark.parametrize("hidden", ["unknown", "_gazonk", '"_a:_b"'])
def test_whom_a_proxy_hides_is_neither_somebody_further_left_nor_the_proxy(hidden: str) -> None:
    assert claimed(f"for=198.51.100.1, for={hidden}") == Claim()
    assert claimed(f"for=198.51.100.1, for={hidden}, for=10.0.0.2") == Claim()


def test_a_request_that_is_forwarded_for_nobody_is_the_proxys_own() -> None:
    assert claimed() == Claim(client=PEER)
    assert claimed("for=10.0.0.2") == claimed(**{"for": "10.0.0.2"}) == Claim(client="10.0.0.2")


@pytest.mark.parametrize(
    "garbage",
    [
        "nonsense",
        'for="198.51.100.1',
        'for="198.51.100.1\\',
        "for=198.51.100.1;for=198.51.100.2",
        "for=198.51.100.1 host=evil",
        'host="a, for=198.51.100.1',
        ";;;",
        "",
    ],
)
def test_what_a_client_writes_swallows_nothing_that_its_proxy_adds(garbage: str) -> None:
    assert claimed(f"{garbage}, for=203.0.113.9;proto=https").client == CLIENT
    assert claimed(f'{garbage}, for="203.0.113.9:80";host="x"') == Claim(None, "x", CLIENT)


@pytest.mark.parametrize(
    "malformed", ["nonsense", 'for="203.0.113.9', "for=203.0.113.9;for=203.0.113.9", "for = 1.2.3.4"]
)
def test_a_malformed_element_says_nothing(malformed: str) -> None:
    assert claimed(f"for=198.51.100.1, {malformed}") == Claim()


@pytest.mark.parametrize(
    ("x_forwarded", "client"),
    [
        ("203.0.113.9:4711", CLIENT),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("203.0.113.9:4711, 10.0.0.2:80", CLIENT),
        ("198.51.100.1, [203.0.113.9", None),
        ("198.51.100.1, [203.0.113.9, 10.0.0.2", None),
        ("", None),
    ],
)
def test_an_entry_of_x_forwarded_for_may_have_a_port(x_forwarded: str, client: str | None) -> None:
    assert claimed(**{"for": x_forwarded}).client == client


def test_what_both_kinds_say_is_believed() -> None:
    claim = claimed("for=203.0.113.9;proto=https;host=r", **{"for": CLIENT, "proto": "https", "host": "r"})

    assert claim == Claim("https", "r", CLIENT)


@pytest.mark.parametrize(
    ("forwarded", "x_forwarded"),
    [
        ("for=198.51.100.1;host=evil;proto=https", {"for": CLIENT}),
        ("for=203.0.113.9", {"for": "198.51.100.1", "host": "evil", "proto": "https"}),
        ("for=198.51.100.1;host=evil", {"proto": "https"}),
    ],
    ids=["by a proxy that sets X-Forwarded", "by a proxy that sets Forwarded", "by one that tells no client"],
)
def test_no_address_is_smuggled_in_by_the_header_that_a_proxy_leaves_alone(
    forwarded: str, x_forwarded: dict[str, str]
) -> None:
    claim = claimed(forwarded, **x_forwarded)

    assert (claim.client, claim.disputed) == (None, ("client",))


@pytest.mark.parametrize(
    ("forwarded", "x_forwarded", "claim"),
    [
        ("for=203.0.113.9", {"for": CLIENT, "proto": "https", "host": "r"}, Claim("https", "r", CLIENT)),
        ("for=203.0.113.9;proto=https;host=r", {"for": CLIENT}, Claim("https", "r", CLIENT)),
        ("for=192.168.1.5", {"for": CLIENT, "proto": "https"}, Claim("https", None, None, ("client",))),
    ],
)
def test_scheme_and_host_are_those_of_the_kind_that_names_them(
    forwarded: str, x_forwarded: dict[str, str], claim: Claim
) -> None:
    assert claimed(forwarded, **x_forwarded) == claim


def test_schemes_and_hosts_that_contradict_each_other_are_not_believed() -> None:
    claim = claimed("for=203.0.113.9;proto=https;host=a", **{"for": CLIENT, "proto": "http", "host": "b"})

    assert claim == Claim(None, None, CLIENT, ("scheme", "host"))


def test_a_header_that_is_long_is_read_in_little_time() -> None:
    begun = time.process_time()
    for text in ("for=" * 2000, 'for="' * 1600, "a=b;" * 2000, " " * 8000, "for=1.2.3.4," * 600, "[" * 8000):
        claimed(text, **{"for": text})

    assert time.process_time() - begun < 1


@settings(deadline=None, max_examples=200)
@given(VALUES | st.none(), VALUES, VALUES, VALUES)
def test_any_header_names_an_address_and_a_scheme_or_nothing(
    forwarded: str | None, client: str, scheme: str, host: str
) -> None:
    claim = claimed(forwarded, **{"for": client, "proto": scheme, "host": host})

    assert claim.client is None or str(ip_address(claim.client)) == claim.client
    assert claim.scheme in (None, "http", "https")


@settings(deadline=None, max_examples=200)
@given(VALUES)
def test_what_a_client_writes_before_its_proxy_changes_nothing(written: str) -> None:
    proxy = f"for={CLIENT};proto=https;host=r.example.org"

    assert claimed(f"{written},{proxy}") == claimed(proxy)
    assert claimed(None, **{"for": f"{written}, {CLIENT}"}) == claimed(None, **{"for": CLIENT})
