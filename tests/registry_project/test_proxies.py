"""Whom the server believes about scheme, host and client."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from configuration.values import Configuration, Server
from core.api.notes import REQUEST_ID
from core.hourly import Hourly
from registry_project.middleware import proxies
from registry_project.middleware.proxies import TrustedProxyMiddleware

PUBLIC_URL = "https://registry.example.org"
FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "registry.example.org",
    "HTTP_X_FORWARDED_FOR": "203.0.113.9",
}
STANDARD = {"HTTP_FORWARDED": "for=203.0.113.9;proto=https;host=registry.example.org"}


@pytest.fixture(autouse=True)
def _an_hour_later() -> None:
    """Let each test warn."""
    for turn in vars(proxies).values():
        if isinstance(turn, Hourly):
            turn.reset()


def seen(
    settings: Settings,
    peer: str,
    forwarded: dict[str, str],
    proxies: tuple[str, ...] = ("10.0.0.0/8",),
    public_url: str | None = None,
) -> HttpRequest:
    """Return the request that the views see, of one that came from `peer`."""
    server = Server(trusted_proxies=tuple(map(ip_network, proxies)), public_url=public_url)
    settings.REGISTRY = Configuration(server=server)
    settings.ALLOWED_HOSTS = (
        ["registry.example.org", "my_registry", "localhost", "127.0.0.1", "[::1]"] if public_url else ["*"]
    )
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    meta: dict[str, Any] = {"REMOTE_ADDR": peer, "HTTP_HOST": "inside:5000", **forwarded}
    TrustedProxyMiddleware(view)(RequestFactory().get("/", **meta))
    return requests[0]


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3"])
@pytest.mark.parametrize("forwarded", [FORWARDED, STANDARD], ids=["X-Forwarded", "Forwarded"])
def test_a_listed_proxy_is_believed(settings: Settings, peer: str, forwarded: dict[str, str]) -> None:
    request = seen(settings, peer, forwarded)

    assert (request.is_secure(), request.META["HTTP_HOST"]) == (True, "registry.example.org")
    assert request.META["REMOTE_ADDR"] == "203.0.113.9"


@pytest.mark.parametrize("forwarded", [FORWARDED, STANDARD], ids=["X-Forwarded", "Forwarded"])
def test_nobody_else_is_believed(settings: Settings, forwarded: dict[str, str]) -> None:
    request = seen(settings, "192.0.2.1", forwarded)

    assert (request.is_secure(), request.META["HTTP_HOST"]) == (False, "inside:5000")
    assert request.META["REMOTE_ADDR"] == "192.0.2.1"
    assert not [name for name in request.META if "FORWARDED" in name]


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", ""])
def test_without_proxies_not_even_loopback_is_believed(settings: Settings, peer: str) -> None:
    request = seen(settings, peer, FORWARDED, proxies=())

    assert (request.is_secure(), request.META["REMOTE_ADDR"]) == (False, peer)


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.9.9.9", "203.0.113.9"),
        ("nonsense", "10.1.2.3"),
        ("nonsense, 203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_client_is_the_nearest_address_that_no_proxy_has(settings: Settings, forwarded: str, client: str) -> None:
    request = seen(settings, "10.1.2.3", {"HTTP_X_FORWARDED_FOR": forwarded})

    assert request.META["REMOTE_ADDR"] == client


def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address(settings: Settings) -> None:
    request = seen(settings, "::ffff:192.0.2.1", {}, proxies=())

    assert request.META["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("header", "name"), [("HTTP_X_FORWARDED_FOR", "X-Forwarded-For"), ("HTTP_FORWARDED", "Forwarded")]
)
def test_a_header_that_does_not_count_is_a_warning_that_names_the_setting(
    settings: Settings, caplog: pytest.LogCaptureFixture, header: str, name: str
) -> None:
    seen(settings, "172.18.0.2", {header: "for=203.0.113.9"})

    (line,) = caplog.messages
    assert line.startswith(f"{name} of 172.18.0.2 is ignored")
    assert "server.trusted_proxies" in line
    # Whoever asks can send the header: what is said is nothing to copy.
    assert line.count("172.18.0.2") == 1


def test_it_is_one_warning_an_hour(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        seen(settings, f"172.18.0.{number}", FORWARDED)

    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("header", "about"), [("for=203.0.113.9;proto=http", "scheme"), ("for=203.0.113.9;host=other", "host")]
)
def test_a_contradiction_about_scheme_or_host_is_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture, header: str, about: str
) -> None:
    seen(settings, "10.0.0.1", {**FORWARDED, "HTTP_FORWARDED": header})

    (line,) = caplog.messages
    assert f"contradict each other about the {about}, so neither counts" in line


def test_https_is_not_lost_by_a_kind_that_does_not_name_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    request = seen(settings, "10.0.0.1", {**FORWARDED, "HTTP_FORWARDED": "for=203.0.113.9"})

    assert (request.is_secure(), request.META["HTTP_HOST"]) == (True, "registry.example.org")
    assert caplog.messages == []


@pytest.mark.parametrize("host", ["my_registry", "my_registry:5000", "my_registry:"])
def test_a_name_with_an_underscore_or_an_empty_port_is_served(
    settings: Settings, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    seen(settings, "172.18.0.2", {"HTTP_HOST": host}, public_url=PUBLIC_URL)

    assert caplog.messages == []


def test_a_listed_proxy_is_no_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    seen(settings, "10.0.0.1", FORWARDED, public_url=PUBLIC_URL)
    seen(settings, "10.0.0.1", STANDARD, public_url=PUBLIC_URL)

    assert caplog.messages == []


def test_two_headers_that_name_different_clients_are_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    request = seen(settings, "10.0.0.1", {**FORWARDED, "HTTP_FORWARDED": "for=198.51.100.1"})

    assert request.META["REMOTE_ADDR"] == "10.0.0.1"
    (line,) = caplog.messages
    assert "10.0.0.1" in line
    assert "server.trusted_proxies" in line


@pytest.mark.parametrize("host", ["registry:5000", "172.18.0.3:5000", "not a host", "x" * 9000])
def test_a_host_that_nobody_should_ask_for_is_a_warning_that_names_the_setting(
    settings: Settings, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    seen(settings, "172.18.0.2", {"HTTP_HOST": host}, public_url=PUBLIC_URL)
    seen(settings, "172.18.0.2", {"HTTP_HOST": host}, public_url=PUBLIC_URL)

    (line,) = caplog.messages
    assert line.startswith(f"172.18.0.2 asked for the host {host[:255]!r}, which is not that of server.public_url")
    assert PUBLIC_URL in line


@pytest.mark.parametrize(
    "host", ["registry.example.org", "REGISTRY.example.org:443", "localhost:5000", "127.0.0.1", "[::1]:5000", ""]
)
def test_a_host_that_is_served_is_no_warning(settings: Settings, caplog: pytest.LogCaptureFixture, host: str) -> None:
    seen(settings, "172.18.0.2", {"HTTP_HOST": host}, public_url=PUBLIC_URL)

    assert caplog.messages == []


def test_without_a_public_url_every_host_is_as_good(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    seen(settings, "172.18.0.2", {"HTTP_HOST": "registry:5000"})

    assert caplog.messages == []


def test_a_probe_may_ask_for_the_address_of_a_pod(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    meta: dict[str, Any] = {"HTTP_HOST": "10.244.1.7:5000", "PATH_INFO": "/health"}
    seen(settings, "172.18.0.2", meta, public_url=PUBLIC_URL)

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("peer", "request_id", "taken"),
    [
        ("10.0.0.1", "0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("10.0.0.1", "Root=1-67891233-abcdef012345678912345678", "Root=1-67891233-abcdef012345678912345678"),
        ("10.0.0.1", "a b", None),
        ("10.0.0.1", 'a"b', None),
        ("10.0.0.1", "a" * 129, None),
        ("192.0.2.1", "0f8fad5b", "0f8fad5b"),
        ("192.0.2.1", "a b", None),
    ],
)
def test_the_id_of_a_request_is_the_clients_if_it_is_well_formed(
    settings: Settings, peer: str, request_id: str, taken: str | None
) -> None:
    request = seen(settings, peer, {"HTTP_X_REQUEST_ID": request_id})

    assert request.META.get(REQUEST_ID) == taken


def test_a_listed_proxy_that_names_no_scheme_is_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    seen(settings, "10.0.0.1", {"HTTP_X_FORWARDED_FOR": "203.0.113.9"})

    (line,) = caplog.messages
    assert "the proxy 10.0.0.1" in line
    assert "sent to http:// for a token. Let it set X-Forwarded-Proto, or set server.public_url" in line


@pytest.mark.parametrize(
    ("forwarded", "public_url"),
    [(FORWARDED, None), (STANDARD, None), ({"HTTP_X_FORWARDED_HOST": "registry.example.org"}, PUBLIC_URL)],
    ids=["X-Forwarded-Proto", "Forwarded", "public_url"],
)
def test_a_scheme_that_is_known_is_no_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture, forwarded: dict[str, str], public_url: str | None
) -> None:
    seen(settings, "10.0.0.1", forwarded, public_url=public_url)

    assert caplog.messages == []


def test_a_listed_proxy_that_speaks_http_1_0_is_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    seen(settings, "10.0.0.1", {**FORWARDED, "SERVER_PROTOCOL": "HTTP/1.0"})

    (line,) = caplog.messages
    assert "the proxy 10.0.0.1" in line
    assert "speaks HTTP/1.0" in line
    assert "proxy_http_version 1.1" in line


def test_a_client_that_speaks_http_1_0_is_no_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    seen(settings, "192.0.2.1", {"SERVER_PROTOCOL": "HTTP/1.0"})

    assert caplog.messages == []
