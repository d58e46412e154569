"""Access tokens: as credentials of the API, and made and revoked by it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import bcrypt
import pytest
from django.test import Client
from django.utils.timezone import now

from accounts.models import Account, FailedLogin, SecondFactor
from acl.models import Rule
from tests.api.asking import answered, ask, items
from tests.api.test_administration import PATHS
from tests.audit.conftest import Written, queue, written  # noqa: F401 - fixtures
from tests.caller import Caller
from tests.images import Image
from tokens.access import store
from tokens.models import AccessToken

MANIFESTS = "repositories/alice/app/-/manifests"


def made(account: str = "alice", *scopes: str, name: str = "ci") -> str:
    """Make a token and return it."""
    return store.create(Account.objects.get(name=account), name, scopes)[1]


def by_token(account: str = "alice", *scopes: str) -> Caller:
    """Speak with a token in place of the password."""
    return Caller(Client(), account, made(account, *scopes))


def bearer(token: str, path: str = "whoami", method: str = "GET") -> Any:
    return Client().generic(method, f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.usefixtures("cast")
def test_a_token_is_a_password_and_a_bearer_without_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    token = made("alice", "alice/*:pull,push")

    def refuse(*_arguments: object) -> bool:
        raise AssertionError("bcrypt")

    monkeypatch.setattr(bcrypt, "checkpw", refuse)
    monkeypatch.setattr(bcrypt, "hashpw", refuse)
    found = answered(Caller(Client(), "alice", token), "whoami")

    assert bearer(token).json() == found
    expires_at = AccessToken.objects.get().expires_at.replace(microsecond=0)
    assert found["access_token"] == {
        "name": "ci",
        "scopes": ["alice/*:pull,push"],
        "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.usefixtures("cast")
def test_a_wrong_token_is_401_and_no_failed_login(written: Written) -> None:  # noqa: F811
    token = made()
    AccessToken.objects.update(revoked_at=now())

    answers = [bearer(token), ask(Caller(Client(), "alice", token), "GET", "whoami")]

    assert [(each.status_code, each["Content-Type"]) for each in answers] == [(401, "application/problem+json")] * 2
    assert not FailedLogin.objects.exists()
    events = {(event.kind, event.account, event.credential, event.detail) for event in written()}
    assert events == {
        ("login_refused", name, "access token", "login refused, by an access token") for name in ("", "alice")
    }


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("change", [{"revoked_at": now()}, {"expires_at": now() - timedelta(seconds=1)}])
def test_an_ended_token_is_refused_from_the_next_request_on(change: dict[str, object]) -> None:
    token = made()
    assert bearer(token).status_code == 200
    AccessToken.objects.update(**change)

    assert bearer(token).status_code == 401


@pytest.mark.usefixtures("cast")
def test_a_token_is_of_its_own_account() -> None:
    assert ask(Caller(Client(), "bob", made("alice")), "GET", "whoami").status_code == 401


@pytest.mark.usefixtures("cast")
def test_a_bearer_of_a_deactivated_account_is_refused() -> None:
    token = made()
    Account.objects.filter(name="alice").update(is_active=False)

    assert bearer(token).status_code == 401


def test_its_scopes_limit_it(alice: Caller, push: Callable[..., Image]) -> None:
    image = push("alice/app", "v1")
    push("alice/other", "v1")
    reader = by_token("alice", "alice/app:pull")

    moved = ask(reader, "PUT", "repositories/alice/app/-/tags/v2", {"digest": image.digest})

    assert (moved.status_code, moved.json()["detail"]) == (403, "The scopes of the access token 'ci' lack this.")
    assert ask(reader, "DELETE", f"{MANIFESTS}/{image.digest}").status_code == 403
    assert ask(reader, "GET", "repositories/alice/other").status_code == 404
    assert [each["name"] for each in items(reader, "repositories")] == ["alice/app"]


@pytest.mark.usefixtures("cast")
def test_it_allows_no_more_than_its_account() -> None:
    Rule.objects.filter(subject="alice").delete()

    assert ask(by_token("alice", "*:*"), "GET", "repositories/alice/app").status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "audit"])
def test_no_token_administers(root: Caller, path: str) -> None:
    token = made(root.name)

    response = bearer(token, path)

    assert (response.status_code, "access token" in response.json()["detail"]) == (403, True)
    assert ask(root, "GET", path).status_code != 403


def test_a_token_of_a_superuser_explains_its_own_account_alone(root: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject=root.name, name="team/*", actions="pull")
    holder = by_token(root.name, "other/*:pull")

    own = answered(holder, "explain?repository=team/app&action=pull")

    assert own["allowed"] is False
    assert own["decision"] == "charlie may pull team/app from 127.0.0.1, but the scopes of this access token lack it"
    assert ask(holder, "GET", "explain?account=bob&repository=team/app&action=pull").status_code == 403
    assert answered(root, "explain?repository=team/app&action=pull")["allowed"]


def test_a_token_is_made_once_shown_and_revoked(alice: Caller, written: Written) -> None:  # noqa: F811
    body = {"name": "ci", "scopes": ["alice/*:push,pull"], "lifetime": "2h"}

    response = ask(alice, "POST", "tokens", body)

    given = response.json()
    token, path = given.pop("token"), f"tokens/{given['id']}"
    assert (response.status_code, given["scopes"], response["Cache-Control"]) == (
        201,
        ["alice/*:pull,push"],
        "no-store",
    )
    assert bearer(token).status_code == 200
    assert token not in ask(alice, "GET", "tokens").content.decode()
    assert [each["name"] for each in items(alice, "tokens")] == ["ci"]
    assert ask(alice, "DELETE", path).status_code == 204
    assert bearer(token).status_code == 401
    assert items(alice, "tokens") == []
    assert ask(alice, "DELETE", path).status_code == 404
    events = [event for event in written() if event.kind == "access_token"]
    assert [(event.account, event.credential, event.detail) for event in events] == [
        ("alice", "password", "access token ci created"),
        ("alice", "password", "access token ci revoked"),
    ]
    assert token not in "".join(event.detail for event in events)


def test_only_own_tokens_are_seen_and_revoked(alice: Caller, bob: Caller) -> None:
    token = made("bob")
    path = f"tokens/{AccessToken.objects.get().pk}"

    assert items(alice, "tokens") == []
    assert ask(alice, "DELETE", path).status_code == 404
    assert bearer(token).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "tokens"), ("POST", "tokens"), ("DELETE", "tokens/{}")])
def test_a_token_manages_no_token(anonymous: Caller, alice: Caller, method: str, path: str) -> None:
    token = made()
    path = path.format(AccessToken.objects.get().pk)

    assert bearer(token, path, method).status_code == 403
    assert ask(Caller(Client(), "alice", token), method, path, {"name": "other"}).status_code == 403
    assert ask(anonymous, method, path).status_code == 401
    assert AccessToken.objects.filter(revoked_at=None).count() == 1


def test_a_password_without_its_second_factor_makes_none(alice: Caller) -> None:
    SecondFactor.objects.create(account=Account.objects.get(name="alice"), seed="a", last_step=0)

    assert ask(alice, "POST", "tokens", {"name": "ci"}).status_code == 403
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": " "}, ["name"]),
        ({"name": "x", "scopes": ["alice"]}, ["scopes"]),
        ({"name": "x", "scopes": ["repository:a:pull"]}, ["scopes"]),
        ({"name": "x", "scopes": [1]}, ["scopes.0"]),
        ({"name": "x", "scopes": ["a:pull"] * 51}, ["scopes"]),
        ({"name": "x", "lifetime": "soon"}, ["lifetime"]),
        ({"name": "x", "lifetime": "1s"}, None),
        ({"name": "ci"}, None),
    ],
)
def test_what_is_wrong_with_a_token_is_told(alice: Caller, body: object, fields: list[str] | None) -> None:
    made()

    response = ask(alice, "POST", "tokens", body)

    assert (response.status_code, list(response.json().get("errors", [])) or None) == (400, fields)
    assert AccessToken.objects.count() == 1
