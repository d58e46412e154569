"""Whom the server believes about scheme, host and client."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from registry_project.configuration.values import Configuration, Server
from registry_project.proxies import TrustedProxyMiddleware

FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "registry.example.org",
    "HTTP_X_FORWARDED_FOR": "203.0.113.9",
}


def seen(
    settings: Settings, peer: str, forwarded: dict[str, str], proxies: tuple[str, ...] = ("10.0.0.0/8",)
) -> HttpRequest:
    """Return the request that the views see, of one that came from `peer`."""
    settings.REGISTRY = Configuration(server=Server(trusted_proxies=tuple(map(ip_network, proxies))))
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    meta: dict[str, Any] = {"REMOTE_ADDR": peer, "HTTP_HOST": "inside:5000", **forwarded}
    TrustedProxyMiddleware(view)(RequestFactory().get("/", **meta))
    return requests[0]


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_a_listed_proxy_is_believed(settings: Settings, peer: str) -> None:
    request = seen(settings, peer, FORWARDED)

    assert (request.is_secure(), request.META["HTTP_HOST"]) == (True, "registry.example.org")
    assert request.META["REMOTE_ADDR"] == "203.0.113.9"


def test_nobody_else_is_believed(settings: Settings) -> None:
    request = seen(settings, "192.0.2.1", FORWARDED)

    assert (request.is_secure(), request.META["HTTP_HOST"]) == (False, "inside:5000")
    assert request.META["REMOTE_ADDR"] == "192.0.2.1"
    assert not [name for name in request.META if name.startswith("HTTP_X_FORWARDED")]


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
