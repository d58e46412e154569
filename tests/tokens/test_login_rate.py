"""How many logins and token requests a client gets answered in a minute."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory

import accounts.throttling.login_rate
from accounts.throttling.login_rate import WINDOW_SECONDS, LoginRate, login_rate
from tests.caller import Caller, error_codes

FORM = "application/x-www-form-urlencoded"
LIMIT = 2


@pytest.fixture(autouse=True)
def few(limit: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client have two, and begin a new minute."""
    limit(logins_per_minute=LIMIT)
    monkeypatch.setattr(login_rate, "_ends_at", 0.0)


def ask_token(caller: Caller, address: str = "192.0.2.1", method: str = "GET", authorization: str = "") -> Any:
    headers = {"Authorization": authorization} if authorization else {}
    return caller.client.generic(method, "/v2/token", b"", FORM, headers=headers, REMOTE_ADDR=address)


def ask_api(caller: Caller, authorization: str) -> Any:
    return caller.client.get("/api/v1/whoami", headers={"Authorization": authorization}, REMOTE_ADDR="192.0.2.1")


def log_in(caller: Caller) -> Any:
    return caller.client.post("/admin/login/", {"username": "alice", "password": "wrong"}, REMOTE_ADDR="192.0.2.1")


def test_one_token_request_too_many_is_429_with_the_time_to_wait(anonymous: Caller) -> None:
    assert [ask_token(anonymous).status_code for _ in range(LIMIT)] == [200] * LIMIT

    refused = ask_token(anonymous)

    assert (refused.status_code, error_codes(refused)) == (429, ["TOOMANYREQUESTS"])
    assert 0 < int(refused["Retry-After"]) <= WINDOW_SECONDS
    assert refused["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_form_is_refused_in_the_words_of_oauth_too(anonymous: Caller) -> None:
    for _ in range(LIMIT):
        ask_token(anonymous, method="POST")

    refused = ask_token(anonymous, method="POST")

    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")


def test_a_right_password_counts_no_more_than_none(alice: Caller) -> None:
    statuses = [ask_token(alice, authorization=alice.basic).status_code for _ in range(LIMIT + 1)]

    assert statuses == [200] * LIMIT + [429]


@pytest.mark.parametrize(
    ("one", "another", "status"),
    [("192.0.2.1", "192.0.2.2", 200), ("2001:db8::1", "2001:db8::2", 429), ("2001:db8::1", "2001:db8:0:1::1", 200)],
)
def test_each_network_has_its_own_count(anonymous: Caller, one: str, another: str, status: int) -> None:
    for _ in range(LIMIT):
        ask_token(anonymous, one)

    assert ask_token(anonymous, another).status_code == status


def test_the_next_minute_begins_anew(anonymous: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(LIMIT + 1):
        ask_token(anonymous)

    monkeypatch.setattr(login_rate, "_ends_at", login_rate._ends_at - WINDOW_SECONDS)

    assert ask_token(anonymous).status_code == 200


def test_a_limit_of_zero_is_none(anonymous: Caller, limit: Callable[..., None]) -> None:
    limit(logins_per_minute=0)

    assert [ask_token(anonymous).status_code for _ in range(LIMIT + 1)] == [200] * (LIMIT + 1)


def test_on_a_unix_socket_there_is_no_limit(anonymous: Caller) -> None:
    assert [ask_token(anonymous, "").status_code for _ in range(LIMIT + 1)] == [200] * (LIMIT + 1)


def test_logins_of_the_admin_count(anonymous: Caller) -> None:
    assert [log_in(anonymous).status_code for _ in range(LIMIT)] == [200] * LIMIT

    refused = log_in(anonymous)

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= WINDOW_SECONDS
    assert anonymous.client.get("/admin/login/", REMOTE_ADDR="192.0.2.1").status_code == 200


def test_of_the_api_only_what_fails_counts(alice: Caller) -> None:
    assert [ask_api(alice, alice.basic).status_code for _ in range(LIMIT + 1)] == [200] * (LIMIT + 1)
    assert [ask_api(alice, "Basic nonsense").status_code for _ in range(LIMIT)] == [401] * LIMIT

    refused = ask_api(alice, "Basic nonsense")

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= WINDOW_SECONDS
    assert "Too many logins" in refused.json()["detail"]


def test_the_table_is_bounded_and_keeps_those_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts.throttling.login_rate, "MAX_NETWORKS", 10)
    rate = LoginRate(lambda: 1.0)
    requests = [RequestFactory().get("/", REMOTE_ADDR=f"192.0.2.{number}") for number in range(20)]

    for request in requests * LIMIT:
        rate.count(request)

    assert len(rate._counts) == 10
    assert [rate.wait_seconds(request) > 0 for request in requests] == [True] * 10 + [False] * 10
