"""The short path answers, and logs, byte for byte as the application would."""

import json
import re
import socket
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.attack.raw import connect, rest_of
from tests.attack.target import LAYER, MANIFEST, MANIFEST_TYPE, SECRET, Target
from tests.clients.server import basic
from tests.images import digest_of
from tests.project.pulling import DECLINE
from tests.project.talk import until
from tests.storages import is_s3

TAGGED = f"/v2/{SECRET}/manifests/v1"
BY_DIGEST = f"/v2/{SECRET}/manifests/{digest_of(MANIFEST)}"
BLOB = f"/v2/{SECRET}/blobs/{digest_of(LAYER)}"
LARGE = bytes(range(256)) * 1024
LARGE_BLOB = f"/v2/{SECRET}/blobs/{digest_of(LARGE)}"
EMPTY_BLOB = f"/v2/{SECRET}/blobs/{digest_of(b'')}"
PULLED = (TAGGED, BY_DIGEST, BLOB, LARGE_BLOB, EMPTY_BLOB)

_VARYING = re.compile(rb"(?<=\r\nDate: )[^\r]*|(?<=\r\nX-Request-Id: )[0-9a-f]{18}(?=\r)|(?<=\r\n)X-Path: pull\r\n")
AGENT_NAME = "wants-tokens"
AGENT = f"User-Agent: {AGENT_NAME}"
_OWN_ID = re.compile(r"[0-9a-f]{18}")


class Pulling(Target):
    """The registry with an application of which a request chooses the path."""

    proxies: tuple[str, ...] = ()

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        found: dict[str, Any] = super().configuration()
        found["server"] |= {"workers": 1, "threads": 2, "trusted_proxies": list(self.proxies)}
        if self.proxies:
            found["server"]["public_url"] = "https://registry.example"
        return found

    def command(self) -> list[str]:
        """Return what starts the server."""
        return [*super().command(), "tests.project.pulling:application"]

    def both(self, request: str, *lines: str, body: bytes = b"") -> tuple[bytes, bytes]:
        """Return what the short path and the application send, and compare what they log."""
        pulled, of_pulled = self.sent([request, *lines], body)
        served, of_served = self.sent([request, *lines, DECLINE], body)
        assert of_pulled == of_served
        return pulled, served

    def sent(self, lines: list[str], body: bytes = b"") -> tuple[bytes, list[dict[str, Any]]]:
        """Send a request and one that ends the connection; return all bytes received, and the log."""
        lines = lines if any(line.startswith("Host:") for line in lines) else [*lines, f"Host: {self.host}"]
        last = f"GET /v2/ HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode()
        before = self._access_log()
        with connect(self.port) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body + last)
            received = rest_of(sock)
        number = received.count(b"\r\nX-Request-Id: ")
        until(lambda: len(self._access_log()) >= len(before) + number)
        found = [json.loads(line) for line in self._access_log()[len(before) :]]
        for line in found:
            del line["at"], line["seconds"]
            line["request"] = _OWN_ID.sub("own", line["request"])
        return received, found

    def _access_log(self) -> list[str]:
        whole = self.log_file.read_text().rpartition("\n")[0]
        # Without the pushes before the test: a line may be written after its response was sent.
        pushed = ('"method": "POST"', '"method": "PUT"')
        lines = [line for line in whole.splitlines() if '"logger": "access"' in line]
        lines = [line for line in lines if AGENT_NAME in line or not any(method in line for method in pushed)]
        # Without the requests for the tokens with which the others are sent.
        return [line for line in lines if "/v2/token" not in line or AGENT_NAME in line]


class Proxied(Pulling):
    """The same behind a trusted proxy."""

    proxies = ("127.0.0.1",)


@pytest.fixture(scope="module", params=[Pulling, Proxied])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulling]:
    """Run the registry, at its own address and behind a proxy."""
    running: Pulling = request.param(tmp_path_factory.mktemp("pulling"))
    try:
        running.start()
        running.furnish()
        bearer = running.bearer("alice", f"repository:{SECRET}:pull,push")
        running.push_blob(SECRET, LARGE, bearer)
        running.push_blob(SECRET, b"", bearer)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def authorization(server: Pulling) -> str:
    """Return the header line with which alice may pull."""
    return f"Authorization: {server.bearer('alice', f'repository:{SECRET}:pull')}"


def comparable(received: bytes) -> bytes:
    """Return a response without its time, id and mark."""
    return _VARYING.sub(b"", received)


def is_short(method: str, path: str) -> bool:
    """Tell whether the pull path answers a plain pull: the bytes of a blob in a cloud are left to the application."""
    return method == "HEAD" or not (is_s3() and "/blobs/" in path)


def is_marked(received: bytes) -> bool:
    """Tell whether the short path made the first response."""
    return b"\r\nX-Path: pull\r\n" in received.partition(b"\r\n\r\n")[0] + b"\r\n"


ETAG = f'"{digest_of(LAYER)}"'
PLAIN_FIELDS: tuple[tuple[str, ...], ...] = (
    (),
    ("User-Agent: docker/27.0 (linux)",),
    ("Accept: application/json", "Accept: application/vnd.oci.image.manifest.v1+json", "Accept: */*"),
    ("Cookie: a=b", "Cookie: c=d", "Accept-Encoding: gzip"),
    ("Connection: close",),
    ("Content-Length: 0",),
    ("X-Request-Id: of-a-client",),
    ("X-Request-Id: not one",),
    ("X-Forwarded-For: 192.0.2.7",),
    ("X-Forwarded-For: 192.0.2.7, 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: registry.example"),
    ("Forwarded: for=192.0.2.8;proto=https",),
    ("Forwarded: for=192.0.2.8", "X-Forwarded-For: 192.0.2.9"),
    ("X-Forwarded-For: nonsense",),
    ("Host: elsewhere.example",),
    ("Host: registry.example:443",),
    *((f"If-None-Match: {value}",) for value in (
        ETAG, f"W/{ETAG}", ETAG.strip('"'), f'"none", {ETAG}', "*", '"none"', "", f'"{digest_of(MANIFEST)}"',
    )),
    *((f"Range: {value}",) for value in (
        "bytes=0-3", "bytes=-3", "bytes=5-", "bytes=0-0,2-3", "bytes=9999999-", "bytes=-0", "bytes=3-1", "items=0-3",
        "nonsense", "", "bytes=0-999999999999999999999",
    )),
    ("Range: bytes=1-3", f"If-Range: {ETAG}"),
    ("Range: bytes=1-3", 'If-Range: "other"'),
    ("Range: bytes=1-3", f"If-None-Match: {ETAG}"),
)  # fmt: skip


@pytest.mark.parametrize("fields", PLAIN_FIELDS, ids=" ".join)
def test_plain_pulls_are_answered_alike_by_the_short_path(
    server: Pulling, authorization: str, fields: tuple[str, ...]
) -> None:
    for method, path in product(("GET", "HEAD"), PULLED):
        pulled, served = server.both(f"{method} {path} HTTP/1.1", authorization, *fields)

        assert comparable(pulled) == comparable(served)
        assert (is_marked(pulled), is_marked(served)) == (is_short(method, path), False)
        assert b" 40" not in served.partition(b"\r\n")[0]


UPLOADS = f"/v2/{SECRET}/blobs/uploads/"
_SESSION = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def anonymous(received: bytes) -> bytes:
    """Return a comparable response without the names of sessions."""
    return _SESSION.sub("session", comparable(received).decode("latin-1")).encode("latin-1")


def opened(server: Pulling, authorization: str, *more: str) -> tuple[str, bytes]:
    """Open a session; return its address, and the response."""
    received, _ = server.sent([f"POST {UPLOADS} HTTP/1.1", authorization, AGENT, *more])
    session = _SESSION.search(received.decode("latin-1"))
    assert session is not None, received
    return f"{UPLOADS}{session[0]}", received


@pytest.fixture(scope="module")
def pushing(server: Pulling) -> str:
    """Return the header line with which alice may push."""
    return f"Authorization: {server.bearer('alice', f'repository:{SECRET}:pull,push')}"


def test_a_session_is_opened_alike(server: Pulling, pushing: str) -> None:
    (_, short), (_, served) = opened(server, pushing, "Content-Length: 0"), opened(server, pushing, DECLINE)

    assert anonymous(short) == anonymous(served)
    assert (is_marked(short), is_marked(served)) == (True, False)


ENDS = {
    "right": (f"digest={digest_of(b'pushed')}", b"pushed"),
    "escaped": (f"digest={digest_of(b'pushed')}".replace(":", "%3A"), b"pushed"),
    "another digest": (f"digest={digest_of(b'other')}", b"pushed"),
    "unknown algorithm": ("digest=md5:0123", b"pushed"),
    "large": (f"digest={digest_of(LARGE)}", LARGE),
    "empty": (f"digest={digest_of(b'')}", b""),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_session_is_ended_alike(server: Pulling, pushing: str, end: str) -> None:
    query, body = ENDS[end]
    found = []
    for more in ((), (DECLINE,)):
        path, _ = opened(server, pushing)
        request = f"PUT {path}?{query} HTTP/1.1"
        received, (line, *_) = server.sent([request, pushing, AGENT, f"Content-Length: {len(body)}", *more], body)
        found.append((anonymous(received), _SESSION.sub("session", json.dumps(line))))
        assert is_marked(received) is (not more)

    assert found[0] == found[1]


@pytest.mark.parametrize("length", [100, 100_000, 10_000_000])
def test_a_body_that_is_cut_off_is_answered_alike(server: Pulling, pushing: str, length: int) -> None:
    found = []
    for more in ((), (DECLINE,)):
        path, _ = opened(server, pushing)
        lines = [f"PUT {path}?digest={digest_of(b'pushed')} HTTP/1.1", f"Host: {server.host}", pushing, AGENT, *more]
        head = "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()
        with connect(server.port) as sock:
            sock.sendall(head + b"half")
            sock.shutdown(socket.SHUT_WR)
            received = rest_of(sock)
        found.append(anonymous(received))
        assert is_marked(received) is (not more)

    assert found[0] == found[1]
    assert found[0].startswith(b"HTTP/1.1 400 ")


PUT_MANIFEST = f"PUT {TAGGED} HTTP/1.1"


@pytest.mark.parametrize("payload", [MANIFEST, b"{", b" " * 5 * 1024 * 1024], ids=["good", "bad", "large"])
def test_a_manifest_is_put_alike(server: Pulling, pushing: str, payload: bytes) -> None:
    fields = (f"Content-Type: {MANIFEST_TYPE}", f"Content-Length: {len(payload)}", "X-Forwarded-For: 192.0.2.7")

    short, served = server.both(PUT_MANIFEST, pushing, AGENT, *fields, body=payload)

    assert comparable(short) == comparable(served)
    assert (is_marked(short), is_marked(served)) == (True, False)


def test_a_session_that_is_gone_is_answered_alike(server: Pulling, pushing: str) -> None:
    request = f"PUT {UPLOADS}{'0' * 8}-0000-0000-0000-{'0' * 12}?digest={digest_of(b'gone')} HTTP/1.1"

    short, served = server.both(request, pushing, AGENT, "Content-Length: 4", body=b"gone")

    assert comparable(short) == comparable(served)
    assert b" 404 " in served.partition(b"\r\n")[0]


LEFT = {
    "mount": (UPLOADS + f"?mount={digest_of(LAYER)}&from={SECRET}", ()),
    "whole": (UPLOADS + f"?digest={digest_of(b'x')}", ()),
    "algorithm": (UPLOADS + "?digest-algorithm=sha512", ()),
    "chunked": (UPLOADS, ("Transfer-Encoding: chunked",)),
    "range": (UPLOADS, ("Content-Range: 0-0", "Content-Length: 1")),
    "100": (UPLOADS, ("Expect: 100-continue", "Content-Length: 1")),
}


@pytest.mark.parametrize("left", LEFT)
def test_other_pushes_are_left_to_the_application(server: Pulling, pushing: str, left: str) -> None:
    path, fields = LEFT[left]
    body = b"1\r\nx\r\n0\r\n\r\n" if left == "chunked" else b"x"
    fields = fields or ("Content-Length: 1",)

    received, _ = server.sent([f"POST {path} HTTP/1.1", pushing, AGENT, *fields], body)

    assert not is_marked(received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))


def test_who_may_only_pull_is_refused_by_the_application(server: Pulling, authorization: str) -> None:
    received, _ = server.sent([f"POST {UPLOADS} HTTP/1.1", authorization, AGENT, "Content-Length: 0"])

    assert b" 401 " in received.partition(b"\r\n")[0]
    assert not is_marked(received)


ODD_FIELDS: tuple[tuple[str, ...], ...] = (
    ("If-None-Match: *", 'If-None-Match: "none"'),
    ("Range: bytes=0-1", "Range: bytes=2-3"),
    ("User-Agent: one", "User-Agent: two"),
    ("X-Request-Id: one", "X-Request-Id: two"),
    ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"),
    ("Authorization: Basic YTpi",),
    ("Expect: 100-continue",),
)


@pytest.mark.parametrize("fields", ODD_FIELDS, ids=" ".join)
def test_repeated_fields_are_left_to_the_application(
    server: Pulling, authorization: str, fields: tuple[str, ...]
) -> None:
    for method, path in product(("GET", "HEAD"), (TAGGED, BLOB)):
        pulled, served = server.both(f"{method} {path} HTTP/1.1", authorization, *fields)

        assert comparable(pulled) == comparable(served)
        if "Expect" not in fields[0]:
            assert not is_marked(pulled)


@pytest.mark.parametrize("fields", [("Content-Length: 5",), ("Transfer-Encoding: chunked",)], ids=" ".join)
def test_a_body_is_left_to_the_application(server: Pulling, authorization: str, fields: tuple[str, ...]) -> None:
    body = b"hello" if "Length" in fields[0] else b"5\r\nhello\r\n0\r\n\r\n"
    for method, path in product(("GET", "HEAD"), (TAGGED, BLOB)):
        pulled, served = server.both(f"{method} {path} HTTP/1.1", authorization, *fields, body=body)

        assert comparable(pulled) == comparable(served)
        assert not is_marked(pulled)


ODD_REFERENCES = ("none", ".invalid", "a" * 129, "v1/", "v1;a", "", "é", "x/manifests/v1", digest_of(b"none"))
ODD_DIGESTS = (
    digest_of(b"none"),
    "sha256:short",
    "md5:0",
    "sha512:" + "0" * 128,
    "v1",
    "uploads",
    "uploads/",
    "uploads/x",
)
ODD_NAMES = ("alice/absent", "charlie/app", "public/app", "Upper/case", "a//b", "a" * 300, "")
ODD_TARGETS = (
    *("/v2/", "/v2", "/v2/_catalog", "/v2/nowhere", f"/v2/{SECRET}/tags/list"),
    *(f"/v2/{SECRET}/manifests/{reference}" for reference in (*ODD_REFERENCES, *ODD_DIGESTS)),
    *(f"/v2/{SECRET}/blobs/{digest}" for digest in ODD_DIGESTS),
    *(f"/v2/{name}/manifests/v1" for name in ODD_NAMES),
    *(f"/v2/{name}/blobs/{digest_of(LAYER)}" for name in ODD_NAMES),
    *(TAGGED.replace("alice/", "alice%2F"), TAGGED.replace("v1", "%76%31"), TAGGED.replace("v1", "v1%0a")),
    *(f"{TAGGED}?a=b", f"{TAGGED}?a=%2F", f"{TAGGED}#part", f"{BLOB}?", f"/{TAGGED}", TAGGED[1:], f"/v2/..{TAGGED}"),
    *(f"http://registry.example{TAGGED}", "*", "/v2/é", f"/v2/{SECRET}/referrers/{digest_of(MANIFEST)}"),
)


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_other_targets_are_answered_alike(server: Pulling, authorization: str, target: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        pulled, served = server.both(f"{method} {target} HTTP/1.1", authorization)

        assert comparable(pulled) == comparable(served)


@pytest.mark.parametrize("path", [TAGGED, BLOB])
@pytest.mark.parametrize(
    "line",
    [
        *("", "Authorization:", "Authorization: Bearer", "Authorization: Bearer nonsense", "Authorization: Basic YTpi"),
        *("Authorization: {bob}", "Authorization: {push}", "Authorization: {other}", "Authorization: {anonymous}"),
        *("authorization: {lower}", "Authorization: {spaced}", "Authorization: {alice}, {alice}"),
    ],
)
def test_other_tokens_are_answered_alike(server: Pulling, path: str, line: str) -> None:
    alice = server.bearer("alice", f"repository:{SECRET}:pull")
    given = line.format(
        alice=alice,
        lower=alice.replace("Bearer", "bearer"),
        spaced=alice.replace(" ", "   ") + "  ",
        bob=server.bearer("bob", f"repository:{SECRET}:pull"),
        push=server.bearer("alice", f"repository:{SECRET}:push"),
        other=server.bearer("alice", "repository:alice/other:pull"),
        anonymous=server.bearer("", f"repository:{SECRET}:pull"),
    )
    for method in ("GET", "HEAD", "DELETE"):
        if method == "DELETE" and "alice" in line:
            continue
        pulled, served = server.both(f"{method} {path} HTTP/1.1", *filter(None, [given]))

        assert comparable(pulled) == comparable(served)
        is_pulled = b" 200 " in served.partition(b"\r\n")[0] and method != "DELETE"
        assert is_marked(pulled) == (is_pulled and is_short(method, path))


@pytest.mark.parametrize("more", [(), ("X-Forwarded-For: 192.0.2.7",), ("Accept: */*",)], ids=" ".join)
@pytest.mark.parametrize("account", ["alice", ""])
def test_tokens_are_answered_alike(server: Pulling, account: str, more: tuple[str, ...]) -> None:
    # The first login checks the password.
    server.token("alice", f"repository:{SECRET}:pull")
    given = [AGENT, *([f"Authorization: {basic(account)}"] if account else []), *more]

    pulled, served = server.both(f"GET /v2/token?scope=repository%3A{SECRET}%3Apull HTTP/1.1", *given)

    heads = [comparable(received).partition(b"\r\n\r\n")[0] for received in (pulled, served)]
    assert heads[0] == heads[1]
    assert heads[0].startswith(b"HTTP/1.1 200 ")
    assert (is_marked(pulled), is_marked(served)) == (True, False)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", [TAGGED, BLOB])
def test_http_1_0_is_left_to_the_application(server: Pulling, authorization: str, path: str, version: str) -> None:
    pulled, served = server.both(f"GET {path} HTTP/{version}", authorization, "Connection: keep-alive")

    assert comparable(pulled) == comparable(served)
    assert is_marked(pulled) == (version == "1.1" and is_short("GET", path))


def test_a_lost_blob_is_a_503_and_then_a_404_on_both(server: Pulling, authorization: str) -> None:
    bearer, found = server.bearer("alice", f"repository:{SECRET}:pull,push"), []
    for content, more in ((b"lost one", ()), (b"lost two", (DECLINE,))):
        server.push_blob(SECRET, content, bearer)
        next(blob.file for blob in server.blobs() if blob.digest == digest_of(content)).unlink()
        for method in ("GET", "HEAD"):
            received, _ = server.sent(
                [f"{method} /v2/{SECRET}/blobs/{digest_of(content)} HTTP/1.1", authorization, *more]
            )
            found.append(comparable(received).replace(digest_of(content).encode(), b"lost"))

    assert found[:2] == found[2:]
    assert found[0].startswith(b"HTTP/1.1 503 ")
    assert found[1].startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("more", [(), (DECLINE,)], ids=["short path", "application"])
@pytest.mark.parametrize(("path", "table"), [(TAGGED, "manifest"), (BLOB, "link")])
def test_a_pull_touches_the_row(
    server: Pulling, authorization: str, path: str, table: str, more: tuple[str, ...]
) -> None:
    server.execute(f"UPDATE distribution_{table} SET last_used_at = '2001-01-01 00:00:00'")

    server.sent([f"GET {path} HTTP/1.1", authorization, *more])

    assert [
        row
        for row in server.rows(f"SELECT last_used_at FROM distribution_{table}")
        if not str(row[0]).startswith("2001")
    ]
