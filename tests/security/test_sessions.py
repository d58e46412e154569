"""No cookie opens `/v2/`, and no token opens the admin."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Account
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.images import Image


@pytest.fixture
def browser(cast: None) -> Client:
    """Return a browser in which alice, who may do everything, is logged in to the admin."""
    Account.objects.filter(name="alice").update(is_staff=True, is_superuser=True)
    client = Client()
    response = client.post("/admin/login/", {"username": "alice", "password": PASSWORDS["alice"]})
    assert response.status_code == 302
    return client


def with_every_cookie(client: Client) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{cookie.key}={cookie.value}" for cookie in client.cookies.values())}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/alice/app/manifests/v1"),
        ("PUT", "/v2/alice/app/manifests/v1"),
        ("DELETE", "/v2/alice/app/manifests/v1"),
        ("POST", "/v2/alice/app/blobs/uploads/"),
    ],
)
def test_a_session_of_the_admin_opens_nothing_here(
    method: str, path: str, browser: Client, push: Callable[..., Image]
) -> None:
    push("alice/app", "v1")

    response = browser.generic(method, path, headers=with_every_cookie(browser))

    assert response.status_code == 401
    assert not response.cookies


def test_a_session_gets_the_token_of_nobody(browser: Client) -> None:
    response = browser.get("/v2/token?scope=repository:alice/app:pull", headers=with_every_cookie(browser))

    assert response.json()["scope"] == ""


def test_a_session_does_not_open_the_api(browser: Client) -> None:
    assert browser.get("/api/v1/whoami", headers=with_every_cookie(browser)).status_code == 401


def test_a_superuser_needs_rules_like_everybody(browser: Client, charlie: Caller) -> None:
    Account.objects.filter(name="charlie").update(is_staff=True, is_superuser=True)

    assert charlie.get("/v2/alice/app/tags/list").status_code == 401


def test_a_token_opens_neither_the_admin_nor_the_api(alice: Caller) -> None:
    Account.objects.filter(name="alice").update(is_staff=True, is_superuser=True)
    headers = {"Authorization": f"Bearer {alice.token('repository:alice/app:pull')}"}

    assert Client().get("/admin/", headers=headers).status_code == 302
    assert Client().get("/api/v1/whoami", headers=headers).status_code == 401


def test_a_password_does_not_open_the_protocol(alice: Caller) -> None:
    response = Client().get("/v2/alice/app/tags/list", headers={"Authorization": alice.basic})

    assert response.status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-User", "Remote-User", "X-Remote-User", "X-Token", "X-Auth-Token"])
def test_no_other_header_tells_who_is_asking(header: str, alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")

    for value in ("alice", token, f"Bearer {token}"):
        assert Client().get("/v2/", headers={header: value}).status_code == 401
    assert Client().get(f"/v2/?token={token}&access_token={token}").status_code == 401


def test_the_cookie_of_the_admin_is_not_sent_to_the_protocol(browser: Client) -> None:
    session = browser.cookies["registry_session"]

    assert session["path"] == "/admin/"
    assert session["httponly"] is True
    assert session["samesite"] == "Lax"
