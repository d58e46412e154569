"""Request heads: refusals of RFC 9112, limits and cost."""

from typing import Any

import pytest
from gunicorn.http.errors import (
    InvalidHeader,
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.connection import Parser
from server.head.request import MAX_HEAD_BYTES, HostError
from server.reader import Reader
from tests.project.wire import CLIENT, PEER, POOL, SETTINGS, Wire


def parsed(*pieces: bytes) -> Any:
    """Return the request whose head comes in these pieces."""
    wire: Any = Wire(pieces)
    parser = Parser(SETTINGS, wire, CLIENT)
    parser.unreader = Reader(wire, POOL, PEER)
    return next(parser)


def request(*fields: str, version: str = "1.1", target: str = "/v2/") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/{version}", *fields, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    "host",
    ["a", "a:5000", "a:", "", "registry.example.com", "my_registry", "127.0.0.1:80", "[::1]", "[::1]:5000", "a%20b"],
)
def test_a_host_is_taken(host: str) -> None:
    assert parsed(request(f"Host: {host}")).path == "/v2/"


@pytest.mark.parametrize(
    "host",
    [
        "a b",
        "a/b",
        "a:b",
        "a:1:2",
        "a@b",
        "http://a",
        "a?b",
        "a#b",
        "::1",
        "[::1",
        "[]",
        "[::1]a",
        "a\xe9",
        'a"',
        "a\\b",
    ],
)
def test_an_invalid_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidHeader):
        parsed(request(f"Host: {host}"))


def test_a_request_of_http_1_1_needs_a_host() -> None:
    with pytest.raises(HostError, match=r"HTTP/1\.1 needs a Host"):
        parsed(request())


def test_a_request_of_http_1_0_needs_none() -> None:
    assert parsed(request(version="1.0")).path == "/v2/"


ABSOLUTE = [
    ("http://a/v2/", "a"),
    ("https://a/v2/", "a"),
    ("HTTP://A/v2/?n=1", "a"),
    ("http://a:5000/v2/", "a:5000"),
    ("http://[::1]:5000/v2/", "[::1]:5000"),
]


@pytest.mark.parametrize(("target", "host"), ABSOLUTE)
def test_a_target_may_name_the_host_too(target: str, host: str) -> None:
    found = parsed(request(f"Host: {host}", target=target))

    assert (found.path, found.headers) == ("/v2/", [("HOST", host)])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("host", ["b", "", "a:80", "a.", "a, b"])
def test_a_target_that_names_another_host_is_refused(host: str, version: str) -> None:
    with pytest.raises(InvalidHeader):
        parsed(request(f"Host: {host}", version=version, target="http://a/v2/"))


@pytest.mark.parametrize(("target", "host"), ABSOLUTE)
def test_a_target_names_the_host_of_http_1_0(target: str, host: str) -> None:
    ((name, value),) = parsed(request(version="1.0", target=target)).headers

    assert (name, value.lower()) == ("HOST", host)


def test_a_target_is_no_host_of_http_1_1() -> None:
    with pytest.raises(HostError, match=r"HTTP/1\.1 needs a Host"):
        parsed(request(target="http://a/v2/"))


@pytest.mark.parametrize(
    "target",
    ["http:///v2/", "http://:80/v2/", "http://a@a/v2/", "http://b:c@a/v2/", "http://a\\b/v2/", "http://a:b/v2/",
     "ftp://a/v2/", "file:///v2/", "://a/v2/", "?http://a/v2/", "v2/://a"],
)  # fmt: skip
@pytest.mark.parametrize("host", ["a", ""])
def test_an_invalid_target_is_refused(target: str, host: str) -> None:
    with pytest.raises(HostError, match="an absolute request target"):
        parsed(request(f"Host: {host}", target=target))


@pytest.mark.parametrize("second", ["a", "b"])
def test_a_second_host_is_refused(second: str) -> None:
    with pytest.raises(InvalidHeader):
        parsed(request("Host: a", f"Host: {second}"))


@pytest.mark.parametrize(
    "fields",
    [
        ["gzip, chunked"],
        ["identity, chunked"],
        ["identity", "chunked"],
        ["gzip", "chunked"],
        ["x, chunked"],
        ["chunked,"],
        [", chunked"],
        ["x"],
    ],
)
def test_another_coding_than_chunked_is_not_implemented(fields: list[str]) -> None:
    with pytest.raises(UnsupportedTransferCoding):
        parsed(request("Host: a", *(f"Transfer-Encoding: {field}" for field in fields)))


@pytest.mark.parametrize(
    "fields", [["chunked, chunked"], ["chunked", "chunked"], ["chunked, gzip"], ["gzip"], ["identity"]]
)
def test_a_body_without_a_known_end_is_refused(fields: list[str]) -> None:
    with pytest.raises(InvalidHeader):
        parsed(request("Host: a", *(f"Transfer-Encoding: {field}" for field in fields)))


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "CHUNKED"])
def test_chunked_is_taken_in_any_case(coding: str) -> None:
    assert not parsed(request("Host: a", f"Transfer-Encoding: {coding}")).body.failed


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 60), max_size=8), st.booleans())
@example([1] * 60, True)
def test_a_head_may_come_in_any_pieces(sizes: list[int], begins_empty: bool) -> None:
    head = b"\r\n" * begins_empty + request("Host: a", "X-Long: " + "x" * 100)
    cuts = [0]
    for size in sizes:
        cuts.append(min(len(head), cuts[-1] + size))

    found = parsed(*(head[start:end] for start, end in zip(cuts, [*cuts[1:], len(head)], strict=True)))

    assert (found.path, len(found.headers)) == ("/v2/", 2)


@pytest.mark.parametrize(
    ("beginning", "error"),
    [
        (b"GET /v2/ HTTP/1.1\nHost: a\r\n", InvalidRequestLine),
        (b"GET /v2/ HTTP/1.1\r\nHost: a\n", InvalidHeader),
        (b"\n", InvalidRequestLine),
        (b"GET /" + b"a" * 8192, LimitRequestLine),
        (b"\r\nGET /" + b"a" * 8192, LimitRequestLine),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 10_000])
def test_an_invalid_beginning_is_refused_at_once(
    beginning: bytes, error: type[ParseException], piece_bytes: int
) -> None:
    with pytest.raises(error):
        parsed(*(beginning[start : start + piece_bytes] for start in range(0, len(beginning), piece_bytes)))


def test_a_head_has_a_size_limit() -> None:
    fields = [f"X-{number}: {'x' * 8000}" for number in range(2 * MAX_HEAD_BYTES // 8000)]

    with pytest.raises(LimitRequestHeaders):
        parsed(request("Host: a", *fields))


def test_a_large_head_is_taken() -> None:
    fields = [f"X-{number}: {'x' * 8000}" for number in range(MAX_HEAD_BYTES // 8100)]

    assert len(parsed(request("Host: a", *fields)).headers) == 1 + len(fields)


@pytest.mark.parametrize(
    ("version", "fields", "is_last"),
    [
        ("1.1", [], False),
        ("1.1", ["Connection: keep-alive"], False),
        ("1.1", ["Connection: Close"], True),
        ("1.1", ["Connection: close, x"], True),
        ("1.1", ["Connection: x,close"], True),
        ("1.1", ["Connection: keep-alive", "Connection: close"], True),
        ("1.0", [], True),
        ("1.0", ["Connection: x, keep-alive"], False),
    ],
)
def test_a_connection_closes_when_its_client_asks(version: str, fields: list[str], *, is_last: bool) -> None:
    assert parsed(request("Host: a", *fields, version=version)).should_close() is is_last
