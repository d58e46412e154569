"""The client of upstreams: how it logs in, whom it tells the password, and what it follows."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.images import digest_of
from tests.upstreams.fake import FakeRegistry, answering, basic, query_of, redirecting, send, serving, waiting_for
from upstreams import exchange
from upstreams.challenge import Challenge, parse
from upstreams.client import Upstream, is_docker_hub
from upstreams.exchange import LimitedError, MissingError, Reach, UnreachableError, UpstreamError
from upstreams.models import Proxy, namespace_of

BLOB = b"bytes of a blob"
REACH = Reach(allow_private=True, connect_seconds=2, read_seconds=2)


@pytest.fixture
def servers() -> Iterator[tuple[FakeRegistry, FakeRegistry]]:
    """Serve a registry, and a host of somebody else."""
    with ExitStack() as stack:
        registry = stack.enter_context(serving(FakeRegistry()))
        registry.add_image("app", "v1", BLOB)
        yield registry, stack.enter_context(serving(FakeRegistry()))


def client(registry: FakeRegistry, username: str = "", password: str = "") -> Upstream:
    return Upstream(registry.url, username, password, REACH)


def read(upstream: Upstream) -> bytes:
    with upstream.blob("app", digest_of(BLOB)) as answer:
        return answer.whole(1000)


Servers = tuple[FakeRegistry, FakeRegistry]


def test_an_open_registry_gets_no_authorization(servers: Servers) -> None:
    registry, _ = servers

    assert read(client(registry, "someone", "secret")) == BLOB
    assert registry.authorizations == [""]


def test_basic_is_sent_once_it_is_asked_for(servers: Servers) -> None:
    registry, _ = servers
    registry.challenge, registry.accepted = 'Basic realm="a registry"', basic("someone", "secret")
    upstream = client(registry, "someone", "secret")

    assert (read(upstream), read(upstream)) == (BLOB, BLOB)
    assert registry.authorizations == ["", basic("someone", "secret"), basic("someone", "secret")]


def test_a_wrong_password_is_missing_not_down(servers: Servers) -> None:
    registry, _ = servers
    registry.challenge, registry.accepted = 'Basic realm="a registry"', basic("someone", "secret")

    with pytest.raises(MissingError, match="refuses"):
        read(client(registry, "someone", "wrong"))
    with pytest.raises(MissingError, match="asks for a login"):
        read(client(registry))


def test_a_token_is_asked_of_the_realm_and_sent_to_the_registry_alone(servers: Servers) -> None:
    registry, realm = servers
    registry.challenge = f'Bearer realm="{realm.url}/token",service="the registry",scope="repository:app:pull"'
    registry.accepted = "Bearer a-token"
    upstream = client(registry, "someone", "secret")

    assert (read(upstream), read(upstream)) == (BLOB, BLOB)

    assert registry.authorizations == ["", "Bearer a-token", "Bearer a-token"]
    assert realm.authorizations == [basic("someone", "secret")]
    asked = query_of(realm.requests[0])
    assert (asked["service"], asked["scope"]) == (["the registry"], ["repository:app:pull"])


def test_an_anonymous_token_is_asked_for_without_a_password(servers: Servers) -> None:
    registry, realm = servers
    registry.challenge, registry.accepted = f'Bearer realm="{realm.url}/token",service="x"', "Bearer a-token"

    assert read(client(registry)) == BLOB
    assert realm.authorizations == [""]


def test_the_password_does_not_follow_a_redirect(servers: Servers) -> None:
    registry, cloud = servers
    cloud.blobs = {digest_of(BLOB): BLOB}
    registry.challenge, registry.accepted = 'Basic realm="a registry"', basic("someone", "secret")
    registry.faults["/blobs/" + digest_of(BLOB)] = redirecting(f"{cloud.url}/v2/x/blobs/{digest_of(BLOB)}")

    assert read(client(registry, "someone", "secret")) == BLOB
    assert cloud.authorizations == [""]


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_the_target_of_a_redirect_names_no_realm(servers: Servers, scheme: str) -> None:
    registry, cloud = servers
    cloud.challenge, cloud.accepted = f'{scheme} realm="{cloud.url}/token",service="x"', "Bearer a-token"
    registry.faults["/blobs/" + digest_of(BLOB)] = redirecting(f"{cloud.url}/x")

    with pytest.raises(UpstreamError, match="asks for a login"):
        read(client(registry, "someone", "secret"))
    assert (cloud.requests, cloud.authorizations) == (["GET /x"], [""])


def test_the_realm_does_not_lead_the_password_elsewhere(servers: Servers) -> None:
    registry, elsewhere = servers
    registry.challenge, registry.accepted = f'Bearer realm="{registry.url}/token",service="x"', "Bearer a-token"
    registry.faults["/token"] = redirecting(f"{elsewhere.url}/token")

    with pytest.raises(UpstreamError, match="answers 307"):
        read(client(registry, "someone", "secret"))
    assert elsewhere.requests == []


def test_a_registry_with_tls_gets_no_realm_without() -> None:
    upstream = Upstream("https://registry.example", "someone", "secret", REACH)

    with pytest.raises(UpstreamError, match="without TLS"):
        upstream._authorization(
            parse(['Bearer realm="http://127.0.0.1:1/token"']), "repository:app:pull", time.monotonic() + 9
        )


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "localhost"])
def test_a_private_address_is_refused_unless_allowed(host: str) -> None:
    upstream = Upstream(f"http://{host}:9", reach=replace(REACH, allow_private=False))

    with pytest.raises(UnreachableError, match="private address"):
        read(upstream)


def test_a_metadata_address_is_never_allowed(servers: Servers) -> None:
    registry, _ = servers
    registry.faults[digest_of(BLOB)] = redirecting("http://169.254.169.254/latest/meta-data/")

    with pytest.raises(UpstreamError, match="never allowed"):
        read(client(registry))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "//[", "http://127.0.0.1:99999/", "gopher://x/"])
def test_an_odd_redirect_is_an_error_of_the_upstream(servers: Servers, location: str) -> None:
    registry, _ = servers
    registry.faults[digest_of(BLOB)] = redirecting(location)

    with pytest.raises(UpstreamError):
        read(client(registry))


def test_redirects_come_to_an_end(servers: Servers) -> None:
    registry, _ = servers
    registry.faults[digest_of(BLOB)] = redirecting(f"/v2/app/blobs/{digest_of(BLOB)}")

    with pytest.raises(UpstreamError, match="redirects more than 5 times"):
        read(client(registry))
    assert len(registry.requests) == 6


def test_a_429_tells_when_to_come_back(servers: Servers) -> None:
    registry, _ = servers
    registry.faults[digest_of(BLOB)] = answering(429, Retry_After="30")

    with pytest.raises(LimitedError) as refused:
        read(client(registry))
    assert (refused.value.retry_after, refused.value.is_of_registry) == (30, True)


def test_a_limit_and_a_fault_elsewhere_are_not_of_the_registry(servers: Servers) -> None:
    registry, cloud = servers
    registry.faults["/blobs/" + digest_of(BLOB)] = redirecting(f"{cloud.url}/x")
    cloud.faults["/x"] = answering(429, Retry_After="30")

    with pytest.raises(LimitedError) as refused:
        read(client(registry))
    cloud.close()
    with pytest.raises(UpstreamError) as unreachable:
        read(client(registry))
    registry.challenge, registry.accepted = f'Bearer realm="{cloud.url}/token",service="x"', "Bearer a-token"
    with pytest.raises(UpstreamError) as no_realm:
        client(registry).manifest("app", "v1")

    assert not refused.value.is_of_registry
    assert (type(unreachable.value), type(no_realm.value)) == (UpstreamError, UpstreamError)


def test_a_large_manifest_is_not_read_to_its_end(servers: Servers) -> None:
    registry, _ = servers
    registry.manifests["app", "huge"] = b'{"mediaType": "application/json", "x": "' + b"x" * 5 * 2**20 + b'"}'

    with pytest.raises(UpstreamError, match="sent more than"):
        client(registry).manifest("app", "huge")


def test_silence_ends_with_the_timeout(servers: Servers) -> None:
    registry, _ = servers
    goes_on = threading.Event()
    registry.faults[digest_of(BLOB)] = waiting_for(goes_on, after=3)
    began = time.monotonic()

    with pytest.raises(UpstreamError, match="broke off"):
        read(replace(client(registry), reach=replace(REACH, read_seconds=0.2)))
    goes_on.set()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("is_in_head", [True, False])
@pytest.mark.parametrize("what", ["document", "blob"])
def test_a_byte_now_and_then_does_not_hold_a_thread(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, what: str, *, is_in_head: bool
) -> None:
    registry, _ = servers
    goes_on = threading.Event()
    monkeypatch.setattr(exchange, "WHOLE_SECONDS", 0.5)
    monkeypatch.setattr("upstreams.client.WHOLE_SECONDS", 0.5)

    def fault(request: Any, _content: bytes) -> bool:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"" if is_in_head else b"Content-Length: 9999\r\n\r\n"))
        with suppress(OSError):
            while not goes_on.wait(0.05):
                request.wfile.write(b"x")
        return True

    registry.faults |= {"/manifests/v1": fault, digest_of(BLOB): fault}
    began = time.monotonic()

    with pytest.raises(UpstreamError, match=r"too slowly|timed out"):
        client(registry).manifest("app", "v1") if what == "document" else read(client(registry))
    goes_on.set()
    assert time.monotonic() - began < 5


def test_a_chain_of_requests_has_one_deadline(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, _ = servers
    monkeypatch.setattr("upstreams.client.WHOLE_SECONDS", 0.5)

    def fault(request: Any, content: bytes) -> bool:
        time.sleep(0.3)
        return redirecting("/v2/app/manifests/v1")(request, content)

    registry.faults["/manifests/v1"] = fault

    with pytest.raises(UpstreamError, match=r"too slowly|timed out|took too long"):
        client(registry).manifest("app", "v1")
    assert len(registry.requests) <= 2


def test_a_fast_blob_outlives_the_deadline(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, _ = servers
    monkeypatch.setattr("upstreams.client.WHOLE_SECONDS", 0.2)

    def fault(request: Any, _content: bytes) -> bool:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + BLOB[:5])
        time.sleep(0.5)
        request.wfile.write(BLOB[5:])
        return True

    registry.faults[digest_of(BLOB)] = fault

    assert read(client(registry)) == BLOB


def test_lists_come_in_pages(servers: Servers) -> None:
    registry, _ = servers
    pages = {"": ('{"tags": ["a", "b"]}', "b"), "b": ('{"tags": ["c", 5]}', "")}

    def fault(request: Any, _content: bytes) -> bool:
        last = (query_of(f"GET {request.path}").get("last") or [""])[0]
        body, following = pages[last]
        request.send_response(200)
        if following:
            request.send_header("Link", f'</v2/app/tags/list?n=2&last={following}>; rel="next"')
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())
        return True

    registry.faults["/tags/list"] = fault

    assert list(client(registry).tags("app")) == ["a", "b", "c"]


@pytest.mark.parametrize("following", ["{0}/v2/app/tags/list?last=a", "x:.example/v2/?last=a", "//[", "x:"])
def test_the_next_page_is_of_the_registry(servers: Servers, following: str) -> None:
    registry, elsewhere = servers

    def fault(request: Any, _content: bytes) -> bool:
        send(request, 200, b'{"tags": ["a"]}', {"Link": f'<{following.format(elsewhere.url)}>; rel="next"'})
        return True

    registry.faults["/tags/list"] = fault

    with pytest.raises(UpstreamError, match=r"not its own|can't be read"):
        list(client(registry).tags("app"))
    assert (len(registry.requests), elsewhere.requests) == (1, [])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/token",service="s, t",scope="x"', [("bearer", {"service": "s, t", "scope": "x"})]),
        ('Basic realm="x", Bearer realm="https://a/token"', [("basic", {}), ("bearer", {})]),
        ("Bearer realm=https://a/token", [("bearer", {})]),
        (r'Bearer realm="a \"quoted\" one"', [("bearer", {})]),
        ("", []),
        ("=====", []),
        ("Negotiate", [("negotiate", {})]),
    ],
)
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    found = parse([header])

    assert [one.scheme for one in found] == [scheme for scheme, _ in expected]
    for one, (_, parameters) in zip(found, expected, strict=True):
        assert parameters.items() <= one.parameters.items()


def test_a_hostile_challenge_takes_no_time() -> None:
    began = time.process_time()

    parse(["Bearer " + 'a="' * 20_000, "," * 60_000, 'Bearer realm="' + "\\" * 60_000, " " * 60_000])

    assert time.process_time() - began < 2


def test_docker_hub_has_names_of_its_own() -> None:
    hub = Proxy(prefix="hub/", url="https://docker.io")

    assert [hub.upstream_name(name) for name in ("hub/busybox", "hub/grafana/grafana")] == [
        "library/busybox",
        "grafana/grafana",
    ]
    assert hub.upstream().url == "https://registry-1.docker.io"
    assert (is_docker_hub("https://quay.io"), namespace_of("https://registry-1.docker.io")) == (False, "docker.io")
    assert Proxy(prefix="quay/", url="https://quay.io").upstream_name("quay/app") == "app"


def test_a_challenge_is_a_value() -> None:
    assert parse(["Basic"]) == [Challenge("basic")]
    assert re.fullmatch("basic", parse(["BASIC"])[0].scheme)
