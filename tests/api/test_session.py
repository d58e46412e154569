"""The session of a page opens the API, with a token against cross-site requests, and after the second factor."""

import pytest
from django.test import Client

from accounts.models import Account, SecondFactor
from tests.caller import Caller
from tests.conftest import PASSWORDS


@pytest.fixture
def browser(cast: None) -> Client:
    """Sign in as charlie, a superuser."""
    Account.objects.filter(name="charlie").update(is_staff=True, is_superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.get("/login")
    fields = {"username": "charlie", "password": PASSWORDS["charlie"], "csrfmiddlewaretoken": token_of(client)}
    assert client.post("/login", fields).status_code == 302
    return client


def token_of(client: Client) -> str:
    return client.cookies["registry_form"].value


def post(client: Client, **headers: str) -> int:
    """Create a group and return the status."""
    return client.post("/api/v1/groups", {"name": "made"}, "application/json", headers=headers).status_code


def test_a_session_reads(browser: Client) -> None:
    assert browser.get("/api/v1/whoami").json()["name"] == "charlie"


def test_a_session_changes_only_with_the_token_of_a_page(browser: Client) -> None:
    assert post(browser) == 403
    assert post(browser, **{"X-CSRFToken": "a" * 32}) == 403

    assert post(browser, **{"X-CSRFToken": token_of(browser)}) == 201


def test_a_password_needs_no_such_token(browser: Client) -> None:
    client = Client(enforce_csrf_checks=True)

    assert post(client, Authorization=Caller(client, "charlie", PASSWORDS["charlie"]).basic) == 201


def test_a_session_before_its_second_factor_is_anonymous(browser: Client) -> None:
    SecondFactor.objects.create(account=Account.objects.get(name="charlie"), seed="a", last_step=0)

    assert browser.get("/api/v1/whoami").status_code == 401


def test_a_session_of_a_deactivated_account_is_anonymous(browser: Client) -> None:
    Account.objects.filter(name="charlie").update(is_active=False)

    assert browser.get("/api/v1/whoami").status_code == 401
