"""`POST /v2/token`, and refresh tokens."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.test import Client

from accounts.models import Account, FailedLogin
from tests.caller import Caller, error_codes
from tokens import refresh
from tokens.models import RefreshToken
from tokens.views import log_in

FORM = "application/x-www-form-urlencoded"
SERVICE = "Docker Registry"


def ask(caller: Caller, **fields: str) -> Any:
    """Send a form with the fields of every request and `fields`."""
    body = urlencode({"service": SERVICE, "client_id": "docker", **fields})
    return caller.client.post("/v2/token", body, content_type=FORM)


def with_password(caller: Caller, **fields: str) -> Any:
    return ask(caller, grant_type="password", username=caller.name, password=caller.password, **fields)


@pytest.fixture
def kept(alice: Caller) -> str:
    """Log in as alice for good, and return the refresh token."""
    return str(with_password(alice, access_type="offline").json()["refresh_token"])


def test_a_password_gives_a_token_that_counts(alice: Caller) -> None:
    response = with_password(alice, scope="repository:alice/app:pull,push")

    assert response["Cache-Control"] == "no-store"
    assert alice.post("/v2/alice/app/blobs/uploads/", token=response.json()["access_token"]).status_code == 202


def test_several_scopes_are_separated_by_spaces(alice: Caller) -> None:
    response = with_password(alice, scope="repository:alice/a:pull repository:alice/b:pull,push")

    assert response.json()["scope"] == "repository:alice/a:pull repository:alice/b:pull,push"


def test_a_wrong_password_is_401(alice: Caller) -> None:
    response = ask(alice, grant_type="password", username="alice", password="wrong")

    assert (response.status_code, error_codes(response)) == (401, ["UNAUTHORIZED"])


def refused(response: Any) -> tuple[int, list[str], str]:
    """Return status, the registry's codes and the word of OAuth2 of an answer that says both."""
    body = response.json()
    assert body["error_description"].isascii()
    assert response["Cache-Control"] == "no-store"
    return response.status_code, error_codes(response), body["error"]


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        ({}, "TOKEN_REQUEST_INVALID", "invalid_request"),
        ({"grant_type": ""}, "TOKEN_REQUEST_INVALID", "invalid_request"),
        ({"grant_type": "client_credentials"}, "GRANT_TYPE_UNSUPPORTED", "unsupported_grant_type"),
        ({"grant_type": "password", "scope": "nonsense"}, "SCOPE_INVALID", "invalid_scope"),
        ({"grant_type": "password", "service": "another"}, "SERVICE_INVALID", "invalid_request"),
    ],
)
def test_a_request_that_is_wrong_is_400_in_both_languages(
    alice: Caller, fields: dict[str, str], code: str, word: str
) -> None:
    assert refused(ask(alice, **fields)) == (400, [code], word)


@pytest.mark.parametrize(
    "fields",
    [
        {"grant_type": "password", "username": "alice", "password": "wrong"},
        {"grant_type": "refresh_token", "refresh_token": "rrt_unknown"},
    ],
)
def test_a_wrong_grant_is_401_in_both_languages(alice: Caller, fields: dict[str, str]) -> None:
    response = ask(alice, **fields)

    assert refused(response) == (401, ["UNAUTHORIZED"], "invalid_grant")
    assert response["WWW-Authenticate"].startswith("Basic ")


def test_a_description_holds_nothing_that_could_end_it(alice: Caller) -> None:
    response = ask(alice, grant_type='pass"\\word\u00e4')

    assert set('"\\').isdisjoint(response.json()["error_description"])
    assert refused(response)[2] == "unsupported_grant_type"


def test_too_many_wrong_passwords_are_429_in_both_languages(alice: Caller) -> None:
    FailedLogin.objects.create(account="alice", network="127.0.0.1", forgiven_at=Now() + timedelta(hours=1))

    response = ask(alice, grant_type="password", username="alice", password="wrong again")

    assert refused(response) == (429, ["TOOMANYREQUESTS"], "temporarily_unavailable")


def test_a_form_that_is_too_large_is_413(alice: Caller) -> None:
    response = with_password(alice, padding="x" * settings.REGISTRY.server.limits.form_size)

    assert refused(response) == (413, ["TOKEN_REQUEST_INVALID"], "invalid_request")
    assert b"a form has at most 65536 bytes here (server.limits.form_size)" in response.content


def test_a_form_that_is_no_text_is_400(alice: Caller) -> None:
    response = alice.client.post("/v2/token", b"\xff\xfe", content_type=FORM)

    assert refused(response) == (400, ["TOKEN_REQUEST_INVALID"], "invalid_request")


def test_a_form_with_too_many_fields_is_400(alice: Caller) -> None:
    response = alice.client.post("/v2/token", "a&" * 1001, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 400
    assert error_codes(response) == ["TOKEN_REQUEST_INVALID"]
    assert response.json()["error"] == "invalid_request"
    assert response.json()["error_description"] == "the request has more than 1000 parameters"


def test_it_needs_no_csrf_token(cast: None) -> None:
    strict = Caller(Client(enforce_csrf_checks=True), "alice", "alice's password")

    assert with_password(strict).status_code == 200


def test_a_refresh_token_comes_only_when_asked_for(alice: Caller) -> None:
    assert "refresh_token" not in with_password(alice).json()
    assert "refresh_token" not in alice.ask_token().json()


def test_docker_login_gets_one(alice: Caller) -> None:
    response = alice.ask_token(offline_token="true", account="alice", client_id="docker")

    assert response.json()["refresh_token"].startswith("rrt_")


def test_anonymous_gets_none(anonymous: Caller) -> None:
    assert "refresh_token" not in anonymous.ask_token(offline_token="true").json()


def test_a_refresh_token_gives_a_token_that_counts(alice: Caller, kept: str) -> None:
    response = ask(alice, grant_type="refresh_token", refresh_token=kept, scope="repository:alice/app:pull,push")

    assert response.json()["refresh_token"] == kept
    assert alice.post("/v2/alice/app/blobs/uploads/", token=response.json()["access_token"]).status_code == 202


def test_it_grants_what_the_rules_allow_now(bob: Caller) -> None:
    kept = with_password(bob, access_type="offline").json()["refresh_token"]

    response = ask(bob, grant_type="refresh_token", refresh_token=kept, scope="repository:alice/app:pull,push")

    assert response.json()["scope"] == "repository:alice/app:pull"


@pytest.mark.parametrize("token", ["", "rrt_unknown", "rrt_" + "é" * 10])
def test_an_unknown_one_is_401(alice: Caller, token: str) -> None:
    assert ask(alice, grant_type="refresh_token", refresh_token=token).status_code == 401


def test_a_revoked_one_is_401(alice: Caller, kept: str) -> None:
    refresh.revoke([RefreshToken.objects.get().pk])

    response = ask(alice, grant_type="refresh_token", refresh_token=kept)

    assert response.status_code == 401
    assert response.json()["errors"][0]["detail"] == "this login has ended: log in again"


def test_one_that_was_unused_for_too_long_is_401(alice: Caller, kept: str) -> None:
    RefreshToken.objects.update(used_at=Now() - refresh.IDLE - timedelta(seconds=1))

    assert ask(alice, grant_type="refresh_token", refresh_token=kept).status_code == 401


def test_using_it_keeps_it(alice: Caller, kept: str) -> None:
    RefreshToken.objects.update(used_at=Now() - refresh.IDLE / 2)

    ask(alice, grant_type="refresh_token", refresh_token=kept)

    assert RefreshToken.objects.filter(used_at__gt=Now() - refresh.USED_STEP).exists()


def test_a_changed_password_ends_it(alice: Caller, kept: str) -> None:
    account = Account.objects.get(name="alice")
    account.set_password("another password")
    account.save()

    assert ask(alice, grant_type="refresh_token", refresh_token=kept).status_code == 401


def test_a_deactivated_account_ends_it(alice: Caller, kept: str) -> None:
    Account.objects.filter(name="alice").update(is_active=False)

    assert ask(alice, grant_type="refresh_token", refresh_token=kept).status_code == 401


def test_an_account_made_anew_under_the_name_does_not_take_it_over(alice: Caller, kept: str) -> None:
    former = Account.objects.get(name="alice")
    former.delete()
    Account.objects.create(name="alice", password=former.password)

    assert ask(alice, grant_type="refresh_token", refresh_token=kept).status_code == 401


def test_the_database_does_not_hold_it(alice: Caller, kept: str) -> None:
    row = RefreshToken.objects.values().get()

    assert kept.removeprefix("rrt_") not in str(row)


def test_the_row_says_whose_login_it_is(alice: Caller, kept: str) -> None:
    row = RefreshToken.objects.get()

    assert (row.account, row.client_id, row.address) == ("alice", "docker", "127.0.0.1")


def test_an_account_keeps_a_bounded_number_of_logins(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "MAX_PER_ACCOUNT", 3)
    logins = [with_password(alice, access_type="offline").json()["refresh_token"] for _ in range(5)]

    good = [refresh.redeem(token) is not None for token in logins]

    assert good == [False, False, True, True, True]


def test_a_password_changed_while_it_is_checked_ends_the_login(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def log_in_and_change(*args: Any) -> Any:
        identity = log_in(*args)
        Account.objects.filter(name="alice").update(password="changed")
        return identity

    monkeypatch.setattr("tokens.views.log_in", log_in_and_change)
    kept = with_password(alice, access_type="offline").json()["refresh_token"]

    assert refresh.redeem(kept) is None
