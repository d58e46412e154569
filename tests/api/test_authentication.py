"""Who may ask the management API."""

import base64

import pytest

from accounts import authentication
from accounts.models import Account
from accounts.throttling.password_queue import PasswordQueue
from tests.caller import Caller, Response

PATHS = ["/api/v1/whoami", "/api/v1/repositories/alice/app"]


def ask(caller: Caller, path: str = PATHS[0], authorization: str | None = None) -> Response:
    """Ask with the caller's name and password, or with another header."""
    return caller.client.get(path, headers={"Authorization": authorization or caller.basic})


@pytest.mark.parametrize("path", PATHS)
def test_without_credentials_it_is_401_with_a_challenge(anonymous: Caller, path: str) -> None:
    response = anonymous.client.get(path)

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith('Basic realm="')
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_password_is_401_with_a_challenge(alice: Caller, path: str) -> None:
    alice.password = "wrong"

    response = ask(alice, path)

    assert response.status_code == 401
    assert "WWW-Authenticate" in response
    assert response.json()["detail"] == "Wrong name or password."


def test_an_unknown_account_is_answered_like_a_wrong_password(alice: Caller) -> None:
    alice.password = "wrong"
    wrong = ask(alice)
    alice.name = "nobody"
    unknown = ask(alice)

    assert (unknown.status_code, unknown.content) == (wrong.status_code, wrong.content)


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Basic " + base64.b64encode(b"alice:\xff").decode(),
        "Basic " + base64.b64encode(b"al\0ice:\0").decode(),
        "Basic " + base64.b64encode(b"alice:" + b"x" * 100).decode(),
        "Bearer abc",
        "Digest abc",
    ],
)
def test_credentials_that_are_none_are_401(alice: Caller, header: str) -> None:
    response = ask(alice, authorization=header)

    assert response.status_code == 401


def test_a_token_of_the_registry_is_none_of_its_credentials(alice: Caller) -> None:
    token = alice.token("repository:alice/app:pull")

    response = ask(alice, authorization=f"Bearer {token}")

    assert response.status_code == 401


def test_an_inactive_account_is_refused_from_the_next_request_on(alice: Caller) -> None:
    first = ask(alice)
    Account.objects.filter(name="alice").update(is_active=False)

    second = ask(alice)

    assert (first.status_code, second.status_code) == (200, 401)


def test_a_changed_password_counts_from_the_next_request_on(alice: Caller) -> None:
    first = ask(alice)
    account = Account.objects.get(name="alice")
    account.set_password("alice's new one")
    account.save()

    second = ask(alice)

    assert (first.status_code, second.status_code) == (200, 401)


def test_too_many_wrong_passwords_are_429_that_says_when_to_come_back(alice: Caller) -> None:
    responses = []
    for number in range(12):
        alice.password = f"guess {number}"
        responses.append(ask(alice))

    assert {response.status_code for response in responses} == {401, 429}
    assert int(responses[-1]["Retry-After"]) > 0


def test_too_many_logins_at_once_are_503_that_says_when_to_come_back(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 0)
    # One that no test before had checked, whose answer would be remembered.
    alice.password = "seen for the first time"
    queue = PasswordQueue(cores=1, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: queue)

    with authentication.place():
        response = ask(alice)

    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_is_written(alice: Caller, method: str) -> None:
    response = getattr(alice.client, method)(PATHS[0], headers={"Authorization": alice.basic})

    assert response.status_code == 405
