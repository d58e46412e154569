"""Proxies by the API."""

from typing import Any

import pytest

from tests.api.asking import answered, ask
from tests.caller import Caller
from upstreams.models import Proxy

HUB: dict[str, Any] = {
    "prefix": "hub/",
    "url": "https://registry-1.docker.io",
    "username": "someone",
    "password": "a token of Docker Hub",
    "repositories": ["hub/library/*"],
}


def made(root: Caller) -> dict[str, Any]:
    response = ask(root, "POST", "proxies", HUB)
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def test_a_proxy_is_created_and_its_password_never_shown(root: Caller) -> None:
    body = made(root)

    assert (body["prefix"], body["tag_ttl"], body["repositories"]) == ("hub/", "10m", ["hub/library/*"])
    assert "password" not in body
    assert HUB["password"] not in str(answered(root, f"proxies/{body['id']}"))
    assert Proxy.objects.get().upstream().password == HUB["password"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": "https://10.0.0.1"}, "url"),
        ({"url": "https://169.254.169.254", "allow_private_addresses": True}, "url"),
        ({"url": "https://registry.example.org/v2/"}, "url"),
        ({"prefix": "hub"}, "prefix"),
        ({"prefix": "Hub/", "repositories": []}, "prefix"),
        ({"repositories": ["quay/*"]}, "repositories"),
        ({"tag_ttl": "soon"}, "tag_ttl"),
        ({"read_timeout": "1h"}, "read_timeout"),
        ({"keep_unused": "1m"}, "keep_unused"),
        ({"username": ""}, "username"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_proxy_is_told_by_field(root: Caller, values: dict[str, Any], field: str) -> None:
    response = ask(root, "POST", "proxies", HUB | values)

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])
    assert not Proxy.objects.exists()


def test_a_change_leaves_the_other_fields_and_the_password(root: Caller) -> None:
    body = made(root)

    changed = ask(root, "PATCH", f"proxies/{body['id']}", {"tag_ttl": "1h"})

    assert (changed.status_code, changed.json()["tag_ttl"], changed.json()["username"]) == (200, "1h", "someone")
    assert Proxy.objects.get().upstream().password == HUB["password"]


def test_the_password_does_not_follow_the_url_to_another_host(root: Caller) -> None:
    body = made(root)

    refused = ask(root, "PATCH", f"proxies/{body['id']}", {"url": "https://evil.example.org"})

    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["password"])
    assert Proxy.objects.get().url == HUB["url"]
    both = {"url": "https://quay.io", "password": "another"}
    assert ask(root, "PATCH", f"proxies/{body['id']}", both).status_code == 200
    assert Proxy.objects.get().upstream().password == "another"


def test_a_prefix_has_one_proxy(root: Caller) -> None:
    made(root)

    assert ask(root, "POST", "proxies", HUB | {"url": "https://quay.io"}).status_code == 400


def test_a_proxy_is_deleted(root: Caller) -> None:
    body = made(root)

    assert ask(root, "DELETE", f"proxies/{body['id']}").status_code == 204
    assert not Proxy.objects.exists()


@pytest.mark.parametrize("path", ["proxies", "proxies/1"])
def test_proxies_are_not_for_everybody(alice: Caller, path: str) -> None:
    assert ask(alice, "GET", path).status_code == 403
