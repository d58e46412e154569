"""Wrong passwords are slowed down, per account and address, and nobody is locked out."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.backends import BaseBackend
from django.db import connections, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from accounts import authentication
from accounts.models import Account, FailedLogin
from accounts.throttling import throttle
from accounts.throttling.password_queue import PasswordQueue
from tests.caller import Caller, Response, error_codes
from tests.collector.other_thread import in_other_thread
from tests.conftest import PASSWORDS, hashed

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock that counts failures, and let seconds pass when called."""
    now: list[datetime] = [timezone.now()]
    monkeypatch.setattr(timezone, "now", lambda: now[0])

    def pass_seconds(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return pass_seconds


@pytest.fixture
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an address five tries for all accounts."""
    monkeypatch.setattr(throttle, "OF_ADDRESS", replace(throttle.OF_ADDRESS, tries=5))


def login(password: str, name: str = "alice", address: str = HOME) -> Response:
    return Client(REMOTE_ADDR=address).get(
        "/v2/token", headers={"Authorization": Caller(Client(), name, password).basic}
    )


def guess(count: int, name: str = "alice", address: str = HOME, word: str = "guess") -> list[int]:
    return [login(f"{word} {number}", name, address).status_code for number in range(count)]


def guess_at_the_admin(count: int) -> None:
    for number in range(count):
        Client(REMOTE_ADDR=HOME).post("/admin/login/", {"username": "alice", "password": f"guess {number}"})


def is_accepted(name: str = "alice", address: str = HOME) -> bool:
    return bool(login(PASSWORDS[name], name, address).status_code == 200)


@pytest.mark.usefixtures("cast", "tick")
def test_guesses_are_429_with_when_to_come_back() -> None:
    assert guess(9) == [401] * 9

    response = login("another guess")

    assert response.status_code == 429
    assert error_codes(response) == ["TOOMANYREQUESTS"]
    assert b"too many wrong passwords for this account from this address; try again in 30 s" in response.content
    assert response["Retry-After"] == "30"
    assert "WWW-Authenticate" not in response


@pytest.mark.usefixtures("cast", "tick")
def test_no_password_is_checked_while_one_has_to_wait(checks: list[bytes]) -> None:
    guess(10)
    checked = len(checks)

    assert guess(5, word="more") == [429] * 5
    assert not is_accepted()
    assert len(checks) == checked == 10


@pytest.mark.usefixtures("cast", "tick")
def test_the_owner_logs_in_from_elsewhere_all_the_while() -> None:
    guess(30)

    assert is_accepted(address=ELSEWHERE)


@pytest.mark.usefixtures("cast", "tick")
def test_other_accounts_log_in_from_the_same_address() -> None:
    guess(30)

    assert is_accepted("bob")


@pytest.mark.usefixtures("cast", "tick")
def test_a_remembered_password_is_accepted_all_the_while(django_assert_num_queries: Callable[..., object]) -> None:
    assert is_accepted()
    guess(30)

    with django_assert_num_queries(3) as queries:  # type: ignore[attr-defined]
        assert is_accepted()

    assert not [query for query in queries.captured_queries if "accounts_failedlogin" in query["sql"]]


@pytest.mark.usefixtures("cast")
def test_one_guess_is_forgiven_after_30_seconds(tick: Callable[[float], None]) -> None:
    guess(10)

    tick(29)
    before = is_accepted()
    tick(1)

    assert not before
    assert is_accepted()


@pytest.mark.usefixtures("cast")
def test_the_wait_does_not_grow_however_long_one_guesses(tick: Callable[[float], None]) -> None:
    for _ in range(6):
        guess(12)
        tick(10)

    tick(30)

    assert is_accepted()


@pytest.mark.usefixtures("cast")
def test_a_guesser_gets_one_guess_each_30_seconds(tick: Callable[[float], None], checks: list[bytes]) -> None:
    guess(10)
    for minute in range(10):
        tick(60)
        guess(10, word=f"minute {minute}")

    assert len(checks) == 10 + 10 * 2


@pytest.mark.usefixtures("cast")
def test_all_is_forgiven_and_forgotten_after_five_minutes(tick: Callable[[float], None]) -> None:
    guess(20)
    assert FailedLogin.objects.filter(account="alice").exists()

    tick(300)
    guess(1, "bob")

    assert not FailedLogin.objects.filter(account="alice").exists()


@pytest.mark.usefixtures("cast")
def test_the_table_holds_the_last_minutes_only(tick: Callable[[float], None]) -> None:
    for number in range(20):
        guess(1, f"name{number}", f"192.0.2.{number}")
        tick(10)

    assert FailedLogin.objects.count() <= 4 * 3


@pytest.mark.usefixtures("cast", "tick")
def test_a_login_does_not_clear_the_count() -> None:
    guess(9)
    assert is_accepted()

    assert login("the tenth guess").status_code == 429


@pytest.mark.usefixtures("cast", "tick")
def test_a_machine_with_an_old_password_is_one_guess() -> None:
    assert [login("an old password").status_code for _ in range(30)] == [401] * 30

    assert login("a typing error").status_code == 401
    assert is_accepted()


@pytest.mark.usefixtures("cast", "tick")
def test_unknown_accounts_are_slowed_down_alike() -> None:
    assert guess(12, "nobody") == guess(12, "bob")


@pytest.mark.usefixtures("cast", "tick")
def test_of_a_name_that_no_account_has_a_hash_is_stored() -> None:
    guess(12, "hunter2")

    stored = FailedLogin.objects.values_list("account", flat=True)
    assert "hunter2" not in str(list(stored))
    assert len([account for account in stored if account.startswith("?")]) == 2


@pytest.mark.usefixtures("cast", "tick")
def test_an_account_that_is_made_of_a_guessed_name_stays_limited() -> None:
    guess(12, "dora")
    Account.objects.create(name="dora", password=hashed("dora's password"))

    assert login("dora's password", name="dora").status_code == 429


@pytest.mark.usefixtures("cast", "tick")
def test_what_is_no_name_leaves_no_row_but_that_of_its_address() -> None:
    guess(2, "no such/name")
    guess(2, "x" * 200)

    assert list(FailedLogin.objects.values_list("account", "network")) == [("", HOME)]


@pytest.mark.parametrize("name", ["name{}", "no/name{}", "{}" + "x" * 200])
@pytest.mark.usefixtures("cast", "tick")
def test_random_names_cost_their_address_its_tries(name: str, few_tries: None, checks: list[bytes]) -> None:
    statuses = [login("guess", name.format(number)).status_code for number in range(8)]

    assert statuses == [401] * 4 + [429] * 4
    assert len(checks) == 5
    assert not is_accepted()
    assert is_accepted(address=ELSEWHERE)


@pytest.mark.usefixtures("cast")
def test_an_address_gets_a_try_back_each_six_seconds(few_tries: None, tick: Callable[[float], None]) -> None:
    for number in range(8):
        login("guess", f"name{number}")

    tick(5)
    before = is_accepted()
    tick(1)

    assert not before
    assert is_accepted()


@pytest.mark.usefixtures("cast", "tick")
def test_a_remembered_password_is_accepted_though_its_address_has_no_try_left(few_tries: None) -> None:
    assert is_accepted()

    for number in range(8):
        login("guess", f"name{number}")

    assert is_accepted()
    assert not is_accepted("bob")


@pytest.mark.usefixtures("cast", "tick")
def test_the_login_form_of_the_admin_counts_random_names_too(few_tries: None, checks: list[bytes]) -> None:
    for number in range(8):
        Client(REMOTE_ADDR=HOME).post("/admin/login/", {"username": f"name{number}", "password": "guess"})

    assert len(checks) == 5
    assert not is_accepted()


@pytest.mark.usefixtures("cast", "tick")
def test_clients_without_an_address_do_not_keep_each_other_out(few_tries: None) -> None:
    for number in range(8):
        login("guess", f"name{number}", address="")

    assert is_accepted(address="")


@pytest.mark.usefixtures("cast", "tick")
def test_guesses_from_several_addresses_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(8):
        guess(10, address=f"192.0.2.{number}", word=f"from {number}")

    told = [record for record in caplog.records if "from several addresses" in record.message]
    assert [record.account for record in told] == ["alice"]  # type: ignore[attr-defined]  # an extra of the line


@pytest.mark.usefixtures("cast")
def test_guesses_that_go_on_are_told_again_after_an_hour(
    caplog: pytest.LogCaptureFixture, tick: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "OF_ACCOUNT_ANYWHERE", replace(throttle.OF_ACCOUNT_ANYWHERE, tries=3))
    lines = []
    for moment in range(6):
        for number in range(4):
            guess(1, address=f"192.0.2.{number}", word=f"at {moment}, from {number},")
        lines.append(caplog.text.count("from several addresses"))
        tick(15 * 60)

    assert lines == [1, 1, 1, 1, 1, 2]


@pytest.mark.usefixtures("cast")
def test_one_address_alone_is_not_taken_for_several(
    caplog: pytest.LogCaptureFixture, tick: Callable[[float], None]
) -> None:
    for minute in range(30):
        guess(10, word=f"minute {minute}")
        tick(60)

    assert "from several addresses" not in caplog.text


@pytest.mark.usefixtures("cast", "tick")
def test_a_network_of_ipv6_counts_as_one_address() -> None:
    for number in range(10):
        guess(1, address=f"2001:db8:1:2::{number:x}", word=f"from {number}")

    assert not is_accepted(address="2001:db8:1:2:ffff::1")
    assert is_accepted(address="2001:db8:1:3::1")


@pytest.mark.parametrize("address", ["", "unix:", "not an address", "fe80::1%eth0", "::", "::ffff:192.0.2.1"])
def test_no_address_breaks_the_count(address: str, cast: None) -> None:
    guess(2, address=address)

    assert FailedLogin.objects.filter(account="alice").exclude(network="*").count() == 1


@pytest.mark.usefixtures("cast", "tick")
def test_the_api_answers_429_too() -> None:
    guess(10)
    caller = Caller(Client(REMOTE_ADDR=HOME), "alice", PASSWORDS["alice"])

    response = caller.client.get("/api/v1/whoami", headers={"Authorization": caller.basic})

    assert response.status_code == 429
    assert response["Retry-After"] == "30"


@pytest.mark.usefixtures("cast", "tick")
def test_the_form_of_oauth_answers_429_too() -> None:
    guess(10)
    form = urlencode({"grant_type": "password", "username": "alice", "password": PASSWORDS["alice"]})

    response = Client(REMOTE_ADDR=HOME).post("/v2/token", form, "application/x-www-form-urlencoded")

    assert response.status_code == 429
    assert response["Retry-After"] == "30"


@pytest.mark.usefixtures("cast", "tick")
def test_guesses_count_wherever_they_are_made() -> None:
    guess_at_the_admin(10)

    assert login("a guess").status_code == 429


@pytest.mark.usefixtures("cast", "tick")
def test_the_login_form_of_the_admin_is_slowed_down_too() -> None:
    Account.objects.filter(name="alice").update(is_staff=True)
    client = Client(REMOTE_ADDR=HOME)
    for number in range(10):
        client.post("/admin/login/", {"username": "alice", "password": f"guess {number}"})

    refused = client.post("/admin/login/", {"username": "alice", "password": PASSWORDS["alice"]})
    accepted = Client(REMOTE_ADDR=ELSEWHERE).post(
        "/admin/login/", {"username": "alice", "password": PASSWORDS["alice"]}
    )

    assert refused.status_code == 429
    assert accepted.status_code == 302


@pytest.mark.usefixtures("cast")
def test_hammering_at_the_login_form_makes_nobody_wait_longer(tick: Callable[[float], None]) -> None:
    guess_at_the_admin(30)

    tick(30)

    assert is_accepted()


class OpenSesame(BaseBackend):
    """A backend of somebody else's, which knows nothing of throttling."""

    def authenticate(
        self, request: HttpRequest | None, username: str = "", password: str = "", **kwargs: object
    ) -> Account | None:
        """Return the account when somebody says the word."""
        return Account.objects.filter(name=username).first() if password == "open sesame" else None


@pytest.mark.usefixtures("cast", "tick")
def test_guesses_at_another_backend_are_slowed_down_too(settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.OpenSesame"]
    assert login("open sesame", "bob").status_code == 200

    guess(10)

    assert login("open sesame").status_code == 429
    assert login("open sesame", address=ELSEWHERE).status_code == 200


@pytest.mark.usefixtures("cast", "tick")
def test_a_form_without_a_name_or_with_a_wild_one_is_no_fault() -> None:
    for name in ("", "\0", "x" * 5000, "\N{SNOWMAN}"):
        assert Client().post("/admin/login/", {"username": name, "password": "x"}).status_code == 200


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a crowd of writers wait for each other, however slow the machine is: what gives up is counted in memory."""
    monkeypatch.setattr(throttle, "PATIENCE_SECONDS", 60.0)


@pytest.mark.usefixtures("patience")
@pytest.mark.django_db(transaction=True)
def test_failures_at_the_same_moment_are_all_counted(tick: Callable[[float], None]) -> None:
    Account.objects.create(name="alice", password=hashed("x"))
    barrier = threading.Barrier(8)
    request = RequestFactory().get("/", REMOTE_ADDR=HOME)

    def fail(_: int) -> None:
        barrier.wait()
        try:
            throttle.count_failure("alice", request)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fail, range(8)))

    row = FailedLogin.objects.get(account="alice", network=HOME)
    assert row.forgiven_at - timezone.now() == 8 * throttle.OF_ACCOUNT.forgiven_after


@pytest.mark.usefixtures("patience")
@pytest.mark.django_db(transaction=True)
def test_failures_and_forgiving_at_the_same_moment_do_not_lock_each_other(tick: Callable[[float], None]) -> None:
    past = timezone.now() - timedelta(seconds=1)
    names = [f"name{number}" for number in range(20)]
    Account.objects.bulk_create(Account(name=name, password="") for name in names)
    FailedLogin.objects.bulk_create(FailedLogin(account=name, network=HOME, forgiven_at=past) for name in names)
    request = RequestFactory().get("/", REMOTE_ADDR=HOME)

    def fail(number: int) -> None:
        try:
            for name in names[number:] + names[:number]:
                throttle.count_failure(name, request)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fail, range(8)))

    expected = timezone.now() + 8 * throttle.OF_ACCOUNT.forgiven_after
    of_accounts = FailedLogin.objects.filter(account__in=names, network=HOME)
    assert set(of_accounts.values_list("forgiven_at", flat=True)) == {expected}


@contextmanager
def row_held(row: FailedLogin) -> Iterator[None]:
    """Write to the row, and let the others that want to wait."""
    with transaction.atomic():
        FailedLogin.objects.filter(pk=row.pk).update(forgiven_at=row.forgiven_at)
        yield


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread does, and fail when it never comes."""
    ends_at = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


@pytest.fixture
def counting(checks: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return how to begin a wrong login of alice, whose count then waits for a lock until the test ends."""
    monkeypatch.setattr(throttle, "PATIENCE_SECONDS", 60.0)
    one_at_once = PasswordQueue(cores=1, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: one_at_once)
    Account.objects.create(name="alice", password=hashed(PASSWORDS["alice"]))
    row = FailedLogin.objects.create(account="alice", network=HOME, forgiven_at=timezone.now())

    def fail() -> None:
        try:
            login("a guess")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads, in_other_thread(row_held(row)):

        def begin() -> None:
            checked = len(checks)
            threads.submit(fail)
            wait_until(lambda: len(checks) > checked)

        yield begin


@pytest.mark.django_db(transaction=True)
def test_a_wrong_password_that_waits_to_be_counted_holds_up_no_right_one(
    counting: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting()

    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 10)

    assert authentication.identify("alice", PASSWORDS["alice"]) is not None


@pytest.mark.django_db(transaction=True)
def test_failures_that_wait_to_be_counted_count(
    counting: Callable[[], None], checks: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "OF_ACCOUNT", replace(throttle.OF_ACCOUNT, tries=2))
    counting()
    counting()
    request = RequestFactory().get("/", REMOTE_ADDR=HOME)
    wait_until(lambda: throttle.refusal("alice", request) is not None)

    response = login("another guess")

    assert (response.status_code, len(checks)) == (429, 2)


@pytest.mark.django_db(transaction=True)
def test_guesses_at_the_same_moment_are_bounded(checks: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 60)
    two_at_once = PasswordQueue(cores=2, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: two_at_once)
    Account.objects.create(name="alice", password=hashed(PASSWORDS["alice"]))

    def fail(number: int) -> int:
        try:
            return int(login(f"guess {number}").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(fail, range(30)))

    assert set(statuses) == {401, 429}
    assert len(checks) <= throttle.OF_ACCOUNT.tries + 2
