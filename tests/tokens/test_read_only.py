"""Logins while the database can't be written: only what a client could keep is missing."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tests.caller import Caller, Response
from tests.read_only import read_only_database
from tests.tokens.test_oauth import ask, with_password
from tokens import refresh
from tokens.models import RefreshToken

SCOPE = "repository:alice/app:pull"


@pytest.fixture
def kept(alice: Caller) -> str:
    """Log in as alice for good, so long ago that the next use is to be noted; return the refresh token."""
    token = str(with_password(alice, access_type="offline").json()["refresh_token"])
    RefreshToken.objects.update(used_at=Now() - 2 * refresh.USED_STEP)
    return token


@pytest.fixture
def unwritable(kept: str) -> Iterator[None]:
    """Let the database refuse writes from here on."""
    with read_only_database():
        yield


def redeem(caller: Caller, token: str) -> Response:
    return ask(caller, grant_type="refresh_token", refresh_token=token, scope=SCOPE)


@pytest.mark.usefixtures("unwritable")
def test_a_password_gives_a_token(alice: Caller) -> None:
    assert with_password(alice, scope=SCOPE).json()["scope"] == SCOPE


@pytest.mark.usefixtures("unwritable")
def test_a_refresh_token_that_was_not_used_for_long_gives_a_token(alice: Caller, kept: str) -> None:
    assert redeem(alice, kept).json()["scope"] == SCOPE


@pytest.mark.usefixtures("unwritable")
def test_a_login_for_good_gives_a_token_without_a_refresh_token_and_the_log_says_why(
    alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    responses = [
        with_password(alice, access_type="offline", scope=SCOPE),
        alice.ask_token(offline_token="true", scope=SCOPE),
    ]

    assert [response.json()["scope"] for response in responses] == [SCOPE] * 2
    assert ["refresh_token" in response.json() for response in responses] == [False] * 2
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["login without a refresh token: it can't be stored"] * 2


def test_the_use_of_a_refresh_token_is_noted_once_that_is_possible(alice: Caller, kept: str) -> None:
    with read_only_database():
        redeem(alice, kept)
    redeem(alice, kept)

    assert RefreshToken.objects.filter(used_at__gt=Now() - timedelta(minutes=1)).exists()
