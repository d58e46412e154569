"""System checks of the configuration."""

from ipaddress import ip_network

import pytest
from pytest_django import Settings

from registry_project.checks import check_proxies
from registry_project.configuration.values import Configuration, Server


@pytest.mark.parametrize(
    ("proxies", "public_url", "expected"),
    [
        ((), None, []),
        (("10.0.0.0/8", "fc00::/7"), "https://registry.example.org", []),
        (("0.0.0.0/0",), "https://registry.example.org", ["registry.W001"]),
        (("::/0",), "https://registry.example.org", ["registry.W001"]),
        (("10.0.0.1",), None, ["registry.W002"]),
    ],
)
def test_a_list_of_proxies_is_warned_about_when_it_protects_nothing(
    settings: Settings, proxies: tuple[str, ...], public_url: str | None, expected: list[str]
) -> None:
    server = Server(trusted_proxies=tuple(map(ip_network, proxies)), public_url=public_url)
    settings.REGISTRY = Configuration(server=server)

    assert [message.id for message in check_proxies()] == expected
