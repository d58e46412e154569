"""The fast way to parse a head: what it takes, gunicorn's parser reads in the same way."""

from random import Random
from typing import Any

import pytest

from server.head.fast import REMEMBERED, FastParser, FastRequest
from server.head.request import PlainRequest
from server.reader import Reader
from server.request_body import NO_BODY
from tests.fuzz.generate import case
from tests.project.wire import CLIENT, PEER, POOL, SETTINGS, Wire

SHORT = b"GET /v2/a?n=1 HTTP/1.1\r\nHost: a:1\r\nX-A: b, c\r\nAccept: */*\r\n\r\n"
DOCKER = (
    b"HEAD /v2/alice/app/manifests/v1 HTTP/1.1\r\nHost: registry.example:5000\r\n"
    b"User-Agent: docker/27.0 go/go1.21 os/linux arch/amd64 UpstreamClient(Docker-Client/27.0 \\(linux\\))\r\n"
    b"Accept: application/vnd.oci.image.index.v1+json\r\nAccept: application/json\r\n"
    b"Authorization: Bearer a.b-c_d\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
).replace(b"Connection: close\r\n", b"")
BLOB = b"GET /v2/a/b/blobs/sha256:0f HTTP/1.1\r\nhost:a\r\nrange: bytes=0-1\r\nConnection: Keep-Alive\r\n\r\n"


PUSH = (
    b"PUT /v2/a/b/blobs/uploads/0-1?digest=sha256%3A0f HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n"
    b"Content-Type: application/octet-stream\r\nAuthorization: Bearer a.b-c_d\r\n\r\n"
)
LENGTH = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab\r\n\r\nGET / HTTP/1.1\r\n\r\n"
POST = b"POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nUser-Agent: a/1\r\n\r\n"


def reader_of(sent: bytes) -> Reader:
    wire: Any = Wire([sent])
    return Reader(wire, POOL, PEER)


def fast(sent: bytes, parser: FastParser | None = None) -> FastRequest | None:
    return (parser or FastParser(SETTINGS)).parse(reader_of(b""), sent)


def gunicorns(sent: bytes) -> Any:
    """Return the request that gunicorn's parser reads."""
    return PlainRequest(SETTINGS, reader_of(sent), CLIENT, 1)


def body_of(request: Any) -> tuple[bytes, bytes]:
    """Return the part of the body that came with the head, and what is left behind it."""
    return request.body.raw.readall(), b"".join(iter(request.unreader.read, b""))


def read(request: Any) -> tuple[object, ...]:
    """Return all that the server and the application use of a request."""
    target = request.method, request.uri, request.path, request.query, request.version, request.scheme
    rest = request.body is NO_BODY, request.should_close(), request._expected_100_continue, request.proxy_protocol_info
    length = getattr(request.body.raw, "_left", 0)
    return *target, list(request.headers), *rest, length, body_of(request)


def is_taken_alike(head: bytes) -> bool:
    """Tell whether the fast way takes the head; if so, compare it with gunicorn's parser."""
    found = fast(head)
    if found is not None:
        assert read(found) == read(gunicorns(head)), head
    return found is not None


@pytest.mark.parametrize("head", [SHORT, DOCKER, BLOB, POST, PUSH, f"{PUSH.decode()}he".encode(), PUSH + b"hello"])
def test_the_heads_of_clients_take_the_fast_way(head: bytes) -> None:
    assert is_taken_alike(head)


@pytest.mark.parametrize("head", [SHORT, LENGTH])
def test_whatever_byte_is_replaced_or_inserted_is_read_alike_or_left(head: bytes) -> None:
    taken = 0
    for place in range(len(head)):
        for byte in range(256):
            for after in (place, place + 1):
                taken += is_taken_alike(head[:place] + bytes([byte]) + head[after:])

    assert taken > 1000


def test_whatever_is_removed_is_read_alike_or_left() -> None:
    pairs = ((start, end) for start in range(len(SHORT)) for end in range(len(SHORT) + 1))

    assert sum(is_taken_alike(SHORT[:start] + SHORT[end:]) for start, end in pairs) > 0


def test_what_the_fuzzer_sends_is_read_alike_or_left() -> None:
    taken = sum(is_taken_alike(b"".join(case(Random(f"fast:{number}"), "x"))) for number in range(1000))

    assert taken > 0


@pytest.mark.parametrize(
    "line",
    [
        *(b"Transfer-Encoding: chunked", b"Trailer: a", b"Expect: 100-continue"),
        *(b"Content-Length: " + length for length in (b"", b"-0", b"+1", b"1_0", b"0x1", b"1, 1", b"1 1", b"9" * 16)),
        *(b"Content-Length: 1\r\nContent-Length: 1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"),
        *(
            b"Content-Type: a/b\r\nContent-Type: a/b",
            b"Connection: close",
            b"Connection: keep-alive, close",
            b"Host: a",
        ),
        *(b"X_A: b", b"Content_Length: 1", b"Host: a"),
        *(b"X: \xe9", b"X: a\tb", b"X : a", b" X: a", b"X", b": a", b"X-" + b"a" * 63 + b": b", b"X: " + b"a" * 9000),
        *(b"Connection: keep-alive\r\nConnection: keep-alive", b"\r\nGET /v2/b HTTP/1.1\r\nHost: a"),
    ],
)
def test_an_unusual_field_is_left_to_gunicorn(line: bytes) -> None:
    assert fast(SHORT.replace(b"X-A: b, c", line)) is None


@pytest.mark.parametrize(
    "line",
    [
        *(b"PATCHES /v2/ HTTP/1.1", b"CONNECT /v2/ HTTP/1.1", b"GET /v2/ HTTP/1.0", b"GET //v2/ HTTP/1.1"),
        *(b"GET http://a/v2/ HTTP/1.1",),
        *(b"GET * HTTP/1.1", b"GET /v2/#a HTTP/1.1", b"GET  /v2/ HTTP/1.1", b"GET /v2/ HTTP/1.1 "),
        *(b"get /v2/ HTTP/1.1", b"GET /\xe9 HTTP/1.1", b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"\r\nGET /v2/ HTTP/1.1"),
    ],
)
def test_an_unusual_request_line_is_left_to_gunicorn(line: bytes) -> None:
    assert fast(SHORT.replace(SHORT.partition(b"\r\n")[0], line)) is None


def test_too_many_fields_are_left_to_gunicorn() -> None:
    fields = b"".join(b"X-%d: a\r\n" % number for number in range(SETTINGS.limit_request_fields - 2))

    assert fast(SHORT.replace(b"X-A: b, c\r\n", fields)) is not None
    assert fast(SHORT.replace(b"X-A: b, c\r\n", fields + b"X-A: b, c\r\n")) is None


def test_the_fields_of_each_request_are_its_own() -> None:
    parser = FastParser(SETTINGS)
    heads = [SHORT.replace(b"b, c", b"%d" % number) for number in range(2 * REMEMBERED + 1)]

    for head in (*heads, *heads[::-1], *heads):
        request = fast(head, parser)
        assert request is not None
        assert read(request) == read(gunicorns(head))
