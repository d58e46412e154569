"""An administrator sees who stays logged in, and ends it."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account
from tests.caller import Caller
from tokens import refresh
from tokens.models import RefreshToken

LIST = "admin:tokens_refreshtoken_changelist"


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client()
    client.force_login(Account.objects.create_superuser("root", "a long password"))
    return client


@pytest.fixture
def kept(alice: Caller) -> str:
    return str(alice.ask_token(offline_token="true", client_id="docker").json()["refresh_token"])


def test_the_list_names_account_and_client(administrator: Client, kept: str) -> None:
    page = administrator.get(reverse(LIST)).content.decode()

    assert "alice" in page
    assert "docker" in page
    assert kept not in page


def test_revoking_ends_the_login(administrator: Client, kept: str) -> None:
    row = RefreshToken.objects.get()

    administrator.post(reverse(LIST), {"action": "revoke", "_selected_action": [row.pk]})

    assert refresh.redeem(kept) is None


def test_none_can_be_made_by_hand(administrator: Client) -> None:
    assert administrator.get(reverse("admin:tokens_refreshtoken_add")).status_code == 403
