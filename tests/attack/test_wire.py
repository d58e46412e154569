"""Two readers of one stream of bytes: nothing that they could read in two ways is served.

A proxy in front reads the same bytes. Where it sees one request and the registry two, somebody's request is answered
with what another one asked for (request smuggling). Each attack is followed by a second request: it is never served.
"""

import json
import socket
from contextlib import suppress

import pytest

from tests.attack.raw import answers, connect, exchange, rest_of
from tests.attack.target import Target, scope

SECOND = b"GET /v2/token/jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """Return a request whose body is read by the application, and a second one."""
    return b"\r\n".join([b"POST /v2/token HTTP/1.1", b"Host: x", *lines, b"", b""]) + body + SECOND


def get(*lines: bytes, first: bytes = b"GET /health HTTP/1.1\r\nHost: x") -> bytes:
    """Return a request without a body, and a second one."""
    return b"\r\n".join([first, *lines, b"", b""]) + SECOND


CHUNKED = b"Transfer-Encoding: chunked"
# CVE-2024-1135 and CVE-2024-6827 were gunicorn's, of Transfer-Encoding.
AMBIGUOUS = {
    "content-length and transfer-encoding": post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"),
    "transfer-encoding and content-length": post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"),
    "two equal lengths": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "a list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "a length with a sign": post(b"Content-Length: +5", body=b"hello"),
    "a negative length": post(b"Content-Length: -5", body=b"hello"),
    "a hexadecimal length": post(b"Content-Length: 0x5", body=b"hello"),
    "a length with an underscore": post(b"Content-Length: 0_5", body=b"hello"),
    "a length in other digits": post(b"Content-Length: \xb2", body=b"hello"),
    "an empty length": post(b"Content-Length:", body=b"hello"),
    "space before the colon of a length": post(b"Content-Length : 5", body=b"hello"),
    "space before the colon of an encoding": post(b"Transfer-Encoding : chunked", body=HELLO),
    "an encoding that only looks like chunked": post(b"Transfer-Encoding: xchunked", body=HELLO),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=HELLO),
    "chunked in two fields": post(CHUNKED, CHUNKED, body=HELLO),
    "chunked, then identity": post(CHUNKED, b"Transfer-Encoding: identity", body=HELLO),
    "identity with a length": post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    "identity, then chunked": post(b"Transfer-Encoding: identity, chunked", body=HELLO),
    "gzip, then chunked": post(b"Transfer-Encoding: gzip, chunked", body=HELLO),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=HELLO),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=HELLO),
    "chunked after a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=HELLO),
    "a field that continues on the next line": post(b"X-A: b\r\n c", b"Content-Length: 0"),
    "an encoding on the next line": post(b"Transfer-Encoding:\r\n chunked", body=HELLO),
    "a field that begins with a space": post(b" Transfer-Encoding: chunked", body=HELLO),
    "a carriage return inside a field": get(b"X: a\r" + CHUNKED),
    "a line feed alone behind a field": get(b"X: a\nY: b"),
    "line feeds alone": get(first=b"GET /health HTTP/1.1\nHost: x\n"),
    "a NUL inside a field": get(b"X: a\0b"),
    "a field without a name": get(b": a"),
    "a space inside a field's name": get(b"X Y: a"),
    "HTTP/1.0 with chunks": get(CHUNKED, first=b"POST /v2/token HTTP/1.0\r\nConnection: keep-alive") + HELLO,
    "a chunk's size with 0x": post(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a negative chunk": post(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "a chunk's size with a sign": post(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk's size with an underscore": post(CHUNKED, body=b"0_5\r\nhello\r\n0\r\n\r\n"),
    "a chunk's size behind a space": post(CHUNKED, body=b" 5\r\nhello\r\n0\r\n\r\n"),
    "a chunk's size before a space": post(CHUNKED, body=b"5 \r\nhello\r\n0\r\n\r\n"),
    "a chunk without a size": post(CHUNKED, body=b"\r\nhello\r\n0\r\n\r\n"),
    "a chunk's size that ends in a line feed": post(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"),
    "a line feed in a chunk's extension": post(CHUNKED, body=b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "a carriage return in a chunk's extension": post(CHUNKED, body=b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "a chunk without its end": post(CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n"),
    "a length in the trailer": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
    "a trailer that is no field": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
    "no Host": get(first=b"GET /health HTTP/1.1"),
    "two Hosts": get(b"Host: y"),
    "a target that names another host": get(first=b"GET http://evil.example/health HTTP/1.1\r\nHost: x"),
    "a target that names another port": get(first=b"GET http://x:81/health HTTP/1.1\r\nHost: x"),
    "a target that names a host for an empty one": get(first=b"GET http://evil.example/health HTTP/1.1\r\nHost:"),
    "a target with a name and a password": get(first=b"GET http://a:b@x/health HTTP/1.1\r\nHost: x"),
    "a target without a host": get(first=b"GET http:///health HTTP/1.1\r\nHost:"),
    "a target of another scheme": get(first=b"GET gopher://x/health HTTP/1.1\r\nHost: x"),
    "a target that names another host to HTTP/1.0": get(first=b"GET http://evil.example/health HTTP/1.0\r\nHost: x"),
    "an authority for a path": get(first=b"GET evil.example:80 HTTP/1.1\r\nHost: x"),
    "two spaces in the request line": get(first=b"GET  /health HTTP/1.1\r\nHost: x"),
    "a tab in the request line": get(first=b"GET\t/health HTTP/1.1\r\nHost: x"),
    "a method in lower case": get(first=b"get /health HTTP/1.1\r\nHost: x"),
    "HTTP/0.9": get(first=b"GET /health"),
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND,
    "the PROXY protocol of a client": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + SECOND,
}


@pytest.mark.parametrize("attack", AMBIGUOUS)
def test_what_may_be_read_in_two_ways_is_refused_and_nothing_behind_it_served(attack: str, target: Target) -> None:
    (answer,) = exchange(target.port, AMBIGUOUS[attack])

    assert answer.status in {400, 501}
    assert json.loads(answer.body)["errors"][0]["code"] != "TOKEN_REQUEST_INVALID"  # the view's, which was served


HARMLESS = {
    "chunked in capitals": post(b"Transfer-Encoding: Chunked", body=HELLO),
    "a tab before chunked": post(b"Transfer-Encoding:\tchunked", body=HELLO),
    "an underscore is another field": post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"hello"),
    "a chunk with an extension": post(CHUNKED, body=b'5;a="b\\"c"\r\nhello\r\n0\r\n\r\n'),
    "a trailer": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nChecksum: 1\r\n\r\n"),
    "zeros before a chunk's size": post(CHUNKED, body=b"0005\r\nhello\r\n000\r\n\r\n"),
    "a body that nobody asked for": get(b"Content-Length: %d" % len(SECOND)).replace(SECOND, SECOND * 2),
    "a target that names the host": get(first=b"GET HTTP://X/health HTTP/1.1\r\nHost: x"),
    "an offer of HTTP/2": get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_read_in_one_way_leaves_the_next_request_where_it_begins(case: str, target: Target) -> None:
    first, second = exchange(target.port, HARMLESS[case])

    assert first.status in {200, 400}
    assert "keys" in json.loads(second.body)


@pytest.mark.parametrize("length", [b"Content-Length: %d" % len(SECOND), CHUNKED])
def test_the_body_of_a_refused_request_is_not_served_as_one(length: bytes, target: Target) -> None:
    head = b"PUT /v2/alice/app/manifests/v1 HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n"
    body = SECOND if length != CHUNKED else b"%x\r\n%b\r\n0\r\n\r\n" % (len(SECOND), SECOND)

    first, second = exchange(target.port, head + body + SECOND)

    assert (first.status, second.status) == (401, 200)


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"5\r\nhelloXX", b"5\nhello\r\n"])
def test_a_broken_chunk_behind_a_refusal_gets_no_second_answer(broken: bytes, target: Target) -> None:
    """A proxy would take the second answer for that of the next request, which may be somebody else's."""
    head = b"PATCH /v2/alice/app/blobs/uploads/%b HTTP/1.1\r\nHost: x\r\n" % (
        b"0" * 8 + b"-0000-0000-0000-" + b"0" * 12
    )
    with connect(target.port) as sock:
        sock.sendall(head + CHUNKED + b"\r\n\r\n5\r\nhello\r\n")
        first = sock.recv(65536)
        with suppress(ConnectionError):
            sock.sendall(broken + SECOND)
        came = first + rest_of(sock)

    assert [answer.status for answer in answers(came)] == [401]


def test_nothing_is_continued_before_the_token_was_looked_at(target: Target) -> None:
    head = b"PUT /v2/alice/app/manifests/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with connect(target.port) as sock:
        sock.sendall(head)
        came = sock.recv(65536)

    assert came.startswith(b"HTTP/1.1 401 ")


def test_another_expectation_is_417(target: Target) -> None:
    (answer,) = exchange(target.port, post(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello"))

    assert answer.status == 417


@pytest.mark.parametrize("first", [b"GET http://a.example/v2/ HTTP/1.1\r\nHost: a.example\r\nConnection: close",
                                   b"GET http://a.example/v2/ HTTP/1.0", b"GET /v2/ HTTP/1.0\r\nHost: a.example"],
                         ids=["in both", "in the target", "in the header"])  # fmt: skip
def test_a_challenge_names_the_one_host_of_its_request(first: bytes, target: Target) -> None:
    (answer,) = exchange(target.port, first + b"\r\n\r\n")

    assert 'realm="http://a.example/v2/token"' in answer.header("www-authenticate")


def test_a_body_that_is_cut_stores_nothing(target: Target) -> None:
    bearer = target.bearer("alice", scope("alice/cut")).encode()
    before = target.stored("blob", "manifest")
    for length in (b"Content-Length: 500", CHUNKED):
        head = b"PUT /v2/alice/cut/manifests/v1 HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n" % bearer
        with connect(target.port) as sock:
            sock.sendall(head + length + b'\r\n\r\n1f4\r\n{"schemaVersion":2')
            sock.shutdown(socket.SHUT_WR)
            assert b" 201 " not in rest_of(sock)

    assert target.stored("blob", "manifest") == before


HUGE = {
    "a long target": (b"GET /" + b"a" * 100_000, 414),
    "a long target without an end": (b"GET /" + b"a" * 10_000_000, 414),
    "a long field": (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000, 431),
    "a field without an end": (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000_000, 431),
    "many fields": (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000, 431),
    "many short fields": (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X:\r\n" * 101, 431),
    "a long token": (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 9000, 431),
}


@pytest.mark.parametrize("attack", HUGE)
def test_a_huge_head_is_refused(attack: str, target: Target) -> None:
    request, status = HUGE[attack]

    (answer,) = exchange(target.port, request + b"\r\n\r\n" + SECOND)

    assert answer.status == status


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "DEBUG", "X" * 19])
def test_no_other_method_does_anything(method: str, target: Target) -> None:
    for path in ("/v2/", "/v2/public/app/manifests/v1", "*"):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: canary\r\nConnection: close\r\n\r\n"

        (answer,) = exchange(target.port, request.encode())

        assert answer.status in {400, 401, 404, 405}
        assert b"canary" not in answer.body


@pytest.mark.parametrize(
    "where",
    ["/v2/alice%0d%0aX-Injected:%201/tags/list", "/v2/public/app/tags/list?n=1&last=a%0d%0aX-Injected:%201",
     "/v2/token?service=x%0d%0aX-Injected:%201", "/v2/token?scope=x%0d%0aX-Injected:%201:y:z",
     "/?next=%0d%0aX-Injected:%201", "/admin/%0d%0aX-Injected:%201", "//evil.example/%0d%0aX-Injected:%201"],
)  # fmt: skip
def test_no_answer_is_split(where: str, target: Target) -> None:
    request = f"GET {where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    (answer,) = exchange(target.port, request.encode())

    assert "x-injected" not in dict(answer.headers)
