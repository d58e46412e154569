"""The page of the own account lists docker logins, and revokes them."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.identity import identity_of
from accounts.permissions_version import current
from tests.conftest import PASSWORDS
from tests.web.test_pages import signed_in, text_of
from tokens import refresh
from tokens.models import RefreshToken


def log_in(account: str, client_id: str, address: str = "192.0.2.7") -> str:
    """Return the refresh token of a docker login."""
    form = {
        "grant_type": "password",
        "service": "Docker Registry",
        "client_id": client_id,
        "username": account,
        "password": PASSWORDS[account],
        "access_type": "offline",
    }
    kind = "application/x-www-form-urlencoded"
    answer = Client().post("/v2/token", urlencode(form), content_type=kind, REMOTE_ADDR=address)
    return str(answer.json()["refresh_token"])


def revoke(client: Client, value: object) -> Any:
    return client.post("/account/logins/revoke", {"login": str(value)})


@pytest.mark.usefixtures("cast")
def test_the_own_docker_logins_are_listed_and_no_others() -> None:
    log_in("alice", "docker-of-alice", "198.51.100.4")
    log_in("bob", "docker-of-bob")

    page = text_of(signed_in("alice"), "/account")

    assert "docker-of-alice" in page
    assert "198.51.100.4" in page
    assert "docker-of-bob" not in page


@pytest.mark.usefixtures("cast")
def test_a_revoked_login_can_not_be_redeemed_and_the_others_can() -> None:
    first, second = log_in("alice", "first"), log_in("alice", "second")
    client = signed_in("alice")

    answer = revoke(client, RefreshToken.objects.get(client_id="first").pk)

    assert answer.status_code == 302
    assert refresh.redeem(first) is None
    assert refresh.redeem(second) == identity_of("alice", current())
    assert "Revoked: 1" in text_of(client, answer.url)


@pytest.mark.usefixtures("cast")
def test_all_logins_of_the_account_are_revoked_at_once() -> None:
    own, other = [log_in("alice", name) for name in "ab"], log_in("bob", "c")

    revoke(signed_in("alice"), "all")

    assert [refresh.redeem(token) for token in own] == [None, None]
    assert refresh.redeem(other) is not None


@pytest.mark.usefixtures("cast")
def test_nobody_revokes_the_login_of_somebody_else() -> None:
    token = log_in("bob", "docker")
    of_bob = RefreshToken.objects.get().pk

    revoke(signed_in("alice"), of_bob)
    revoke(Client(), of_bob)

    assert refresh.redeem(token) is not None


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("value", ["", "x", "-1", "9" * 30, "²"])
def test_an_odd_key_revokes_nothing(value: str) -> None:
    token = log_in("alice", "docker")

    assert revoke(signed_in("alice"), value).status_code == 302

    assert refresh.redeem(token) is not None
