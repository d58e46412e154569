"""Neither being a superuser nor a token opens the other side; cookies are tried in `tests/attack/test_browser.py`."""

from django.test import Client

from accounts.models import Account
from tests.caller import Caller


def test_a_superuser_needs_rules_like_everybody(charlie: Caller) -> None:
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
