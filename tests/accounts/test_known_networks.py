"""Strangers who spend the tries of a shared address keep nobody out who has logged in there before."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, KnownNetwork
from accounts.throttling import known_networks
from tests.accounts.test_throttle import ELSEWHERE, HOME, few_tries, guess, is_accepted, login, tick
from tests.caller import Caller
from tests.conftest import PASSWORDS
from tests.process_memory import forget_logins, forget_passwords
from tests.read_only import read_only_database

__all__ = ["few_tries", "tick"]

pytestmark = pytest.mark.usefixtures("cast", "few_tries")


def spend(address: str = HOME) -> None:
    """Guess at random names until the address has no try left."""
    for number in range(8):
        login("guess", f"name{number}", address)


@pytest.fixture
def known(cast: None, tick: Callable[[float], None]) -> Callable[[float], None]:
    """Let bob have logged in from HOME, in a process that has been restarted since."""
    assert is_accepted("bob")
    forget_logins()
    return tick


@pytest.mark.usefixtures("known")
def test_a_stranger_keeps_nobody_out_who_has_logged_in_there() -> None:
    spend()

    assert is_accepted("bob")
    assert not is_accepted("alice")


@pytest.mark.usefixtures("known")
def test_the_tries_of_the_account_itself_count_all_the_while(checks: list[bytes]) -> None:
    spend()
    checked = len(checks)

    assert guess(12, "bob") == [401] * 9 + [429] * 3
    assert not is_accepted("bob")
    assert len(checks) - checked == 10


@pytest.mark.usefixtures("known")
def test_an_account_is_known_where_it_has_logged_in_and_nowhere_else() -> None:
    spend(ELSEWHERE)

    assert not is_accepted("bob", ELSEWHERE)


def test_an_account_that_is_remembered_is_known_where_it_was_seen_meanwhile(tick: Callable[[float], None]) -> None:
    assert is_accepted("bob", ELSEWHERE)
    assert is_accepted("bob", HOME)
    forget_logins()
    spend()

    assert is_accepted("bob")


def test_a_wrong_password_makes_nobody_known(tick: Callable[[float], None]) -> None:
    guess(3, "bob")

    assert not KnownNetwork.objects.exists()


@pytest.mark.parametrize("name", ["\0", "no/name", "x" * 200])
@pytest.mark.usefixtures("known")
def test_what_is_no_name_stays_bound_by_the_address(name: str) -> None:
    spend()

    assert login("guess", name).status_code == 429


def test_it_counts_for_30_days(known: Callable[[float], None]) -> None:
    known(30 * 86400 - 60)
    spend()
    before = is_accepted("bob")
    known(86400)
    KnownNetwork.objects.update(last_at=timezone.now() - timedelta(days=30))
    forget_logins()
    spend()

    assert before
    assert not is_accepted("bob")


@pytest.mark.usefixtures("known")
def test_the_login_of_the_admin_and_the_api_are_open_too() -> None:
    Account.objects.filter(name="bob").update(is_staff=True)
    spend()

    client = Client(REMOTE_ADDR=HOME)
    answer = client.post("/admin/login/", {"username": "bob", "password": PASSWORDS["bob"]})
    caller = Caller(client, "bob", PASSWORDS["bob"])

    assert answer.status_code == 302
    assert caller.client.get("/api/v1/whoami", headers={"Authorization": caller.basic}).status_code == 200


def test_a_login_of_the_admin_makes_known(tick: Callable[[float], None]) -> None:
    Account.objects.filter(name="bob").update(is_staff=True)
    Client(REMOTE_ADDR=HOME).post("/admin/login/", {"username": "bob", "password": PASSWORDS["bob"]})
    forget_logins()
    spend()

    assert is_accepted("bob")


def test_a_pair_is_written_once_a_day(
    known: Callable[[float], None], django_assert_num_queries: Callable[..., object]
) -> None:
    noted_at = KnownNetwork.objects.get().last_at

    known(86000)
    is_accepted("bob")
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        known_networks.record("bob", HOME)
    before = KnownNetwork.objects.get().last_at
    known(400)
    forget_logins()
    is_accepted("bob")

    assert before == noted_at
    assert KnownNetwork.objects.get().last_at == timezone.now()


def test_rows_that_count_no_more_are_deleted(known: Callable[[float], None]) -> None:
    known(31 * 86400)

    is_accepted("alice")

    assert list(KnownNetwork.objects.values_list("account", flat=True)) == ["alice"]


def test_an_account_has_the_newest_networks_only(
    tick: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_networks, "PER_ACCOUNT", 2)
    known_networks.record("alice", HOME)
    for number in range(4):
        tick(1)
        known_networks.record("bob", f"192.0.2.1{number}")

    rows = KnownNetwork.objects.order_by("last_at").values_list("account", "network")
    assert list(rows) == [("alice", HOME), ("bob", "192.0.2.12"), ("bob", "192.0.2.13")]


def test_a_login_goes_on_while_the_database_cannot_be_written_and_is_known_to_the_process(
    tick: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    with read_only_database():
        assert is_accepted("bob")
        forget_passwords()
        spend()

        assert is_accepted("bob")

    told = [record for record in caplog.records if record.name == "accounts.throttling.known_networks"]
    assert [record.levelno for record in told] == [logging.WARNING]


@pytest.mark.usefixtures("tick")
def test_the_refusal_names_the_limit_that_it_was() -> None:
    spend()
    caller = Caller(Client(REMOTE_ADDR=HOME), "bob", PASSWORDS["bob"])

    tokens = login("guess", "bob").content.decode()
    api = caller.client.get("/api/v1/whoami", headers={"Authorization": caller.basic}).content.decode()
    admin = Client(REMOTE_ADDR=HOME).post("/admin/login/", {"username": "bob", "password": "guess"}).content.decode()

    assert "too many wrong passwords from this address; try again in 6 s" in tokens
    assert "Too many wrong passwords from this address. Expected available in 6 seconds." in api
    assert "Too many wrong passwords from this address; wait 6 s." in admin
