"""How many requests an account, or an address, gets answered in a minute."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.throttling.login_rate import login_rate
from api.throttling import WINDOW_SECONDS, minute
from tests.api.asking import ask
from tests.caller import Caller
from tests.distribution.test_statements import statements
from tokens.access import secret

LIMIT = 2


@pytest.fixture(autouse=True)
def few(limit: Callable[..., None]) -> Iterator[None]:
    """Let a client have two, in a minute of the test's own."""
    limit(api_requests_per_minute=LIMIT)
    minute.clear()
    yield
    minute.clear()


def test_one_request_too_many_is_429_with_the_time_to_wait(alice: Caller) -> None:
    assert [ask(alice, "GET", "whoami").status_code for _ in range(LIMIT)] == [200] * LIMIT

    refused = ask(alice, "GET", "repositories")

    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert 0 < int(refused["Retry-After"]) <= WINDOW_SECONDS


def test_other_accounts_at_the_same_address_have_their_own(alice: Caller, bob: Caller) -> None:
    for _ in range(LIMIT + 1):
        ask(alice, "GET", "whoami")

    assert ask(bob, "GET", "whoami").status_code == 200


def test_anonymous_clients_are_counted_by_address(anonymous: Caller) -> None:
    statuses = [ask(anonymous, "GET", "repositories").status_code for _ in range(LIMIT + 1)]
    elsewhere = anonymous.client.get("/api/v1/repositories", REMOTE_ADDR="192.0.2.9")

    assert statuses == [200, 200, 429]
    assert elsewhere.status_code == 200


def test_without_a_limit_nobody_is_refused(alice: Caller, limit: Callable[..., None]) -> None:
    limit(api_requests_per_minute=0)

    assert {ask(alice, "GET", "whoami").status_code for _ in range(LIMIT + 2)} == {200}


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {secret.generate()}",
        "Bearer nonsense",
        f"Basic {base64.b64encode(f'alice:{secret.generate()}'.encode()).decode()}",
        f"Basic {base64.b64encode(b'nobody:a password').decode()}",
        "Basic !",
    ],
    ids=["access token", "no token", "access token as a password", "password", "malformed"],
)
def test_a_flood_of_wrong_credentials_is_429_before_they_are_looked_at(
    alice: Caller, limit: Callable[..., None], header: str
) -> None:
    limit(logins_per_minute=3)
    login_rate._ends_at = 0.0

    def refused(credentials: str, path: str = "/api/v1/whoami") -> Any:
        return alice.client.get(path, headers={"Authorization": credentials})

    assert [refused(header).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    for answer in (refused(header), refused(alice.basic), refused(header, "/api/v1/repositories")):
        assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
        assert 0 < int(answer["Retry-After"]) <= WINDOW_SECONDS
    assert len(statements(lambda: refused(header))) == 0
    login_rate._ends_at = 0.0
