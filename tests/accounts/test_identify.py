"""Who a name and a password are, at what cost, and what is remembered of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import bcrypt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import authentication
from accounts.authentication import BusyError, identify
from accounts.models import Account, FailedLogin
from accounts.throttling import throttle
from accounts.throttling.password_queue import PasswordQueue
from tests.conftest import PASSWORDS

pytestmark = pytest.mark.usefixtures("cast")

RIGHT = PASSWORDS["alice"]
HOME = "192.0.2.1"


def test_a_right_password_tells_who_it_is() -> None:
    identity = identify("alice", RIGHT)

    assert identity is not None
    assert (identity.name, identity.groups) == ("alice", frozenset())


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("Alice", RIGHT),
        ("alice ", RIGHT),
        ("alice\n", RIGHT),
        ("", RIGHT),
        ("", ""),
        ("alice", RIGHT + "\0"),
        ("alice", "\ud800"),
        ("\ud800", RIGHT),
        ("a\0", RIGHT),
        ("alice", "x" * 10_000),
        ("x" * 10_000, RIGHT),
    ],
)
def test_anything_else_is_nobody(name: str, password: str) -> None:
    assert identify(name, password) is None


def test_the_refusal_of_a_password_that_bcrypt_cuts_is_logged_with_the_limit_and_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The hash is of the first 72 bytes, as htpasswd makes it of a longer password."""
    password = "correct-horse-battery-staple-" * 3
    hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    Account.objects.filter(name="alice").update(password=f"bcrypt${hashed}")

    assert identify("alice", password) is None

    assert "at most 72 bytes" in caplog.text
    assert "correct" not in caplog.text


def test_a_wrong_password_of_72_bytes_is_no_word_of_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    assert identify("alice", "x" * 72) is None

    assert "72 bytes" not in caplog.text


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20), st.text(max_size=90))
def test_no_text_breaks_it(name: str, password: str) -> None:
    assert identify(name, password) is None


@pytest.mark.parametrize("name", ["nobody", "", "no such\0name", "*", "x" * 500])
def test_an_unknown_account_costs_one_bcrypt(name: str, checks: list[bytes]) -> None:
    assert identify(name, "some password") is None

    assert len(checks) == 1


@pytest.mark.parametrize("password", ["wrong", "x" * 73, "x\0", "\ud800"])
def test_a_wrong_password_costs_one_bcrypt_whatever_it_is_made_of(password: str, checks: list[bytes]) -> None:
    assert identify("alice", password) is None

    assert len(checks) == 1


def test_an_account_without_a_password_or_not_active_costs_one_bcrypt(checks: list[bytes]) -> None:
    Account.objects.create_user("robot", None)
    Account.objects.filter(name="bob").update(is_active=False)

    assert identify("robot", "x") is None
    assert identify("bob", PASSWORDS["bob"]) is None

    assert len(checks) == 2


def test_an_unknown_account_costs_what_a_new_password_costs(checks: list[bytes], real_cost: None) -> None:
    account = Account.objects.get(name="alice")
    account.set_password("a new one")
    account.save()

    identify("nobody", "x")
    identify("alice", "x")

    assert checks[0][:7] == checks[1][:7]


def test_a_right_password_is_remembered(checks: list[bytes]) -> None:
    for _ in range(3):
        assert identify("alice", RIGHT) is not None

    assert len(checks) == 1


def test_a_remembered_password_reads_only_the_epoch(django_assert_num_queries: object) -> None:
    identify("alice", RIGHT)

    with django_assert_num_queries(2) as queries:  # type: ignore[operator]
        identify("alice", RIGHT)

    assert all("accounts_rightsepoch" in query["sql"] for query in queries.captured_queries)


def test_a_refused_password_is_remembered(checks: list[bytes]) -> None:
    for _ in range(3):
        assert identify("alice", "an old password") is None

    assert len(checks) == 1
    assert FailedLogin.objects.get(network="").forgiven_at - timezone.now() <= throttle.OF_ACCOUNT.forgiven_after


def test_a_changed_password_counts_at_once() -> None:
    assert identify("alice", RIGHT) is not None
    assert identify("alice", "a new one") is None

    account = Account.objects.get(name="alice")
    account.set_password("a new one")
    account.save()

    assert identify("alice", RIGHT) is None
    assert identify("alice", "a new one") is not None


def test_a_password_that_changes_while_it_is_checked_is_refused_and_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = bcrypt.checkpw

    def change_meanwhile(password: bytes, hashed: bytes) -> bool:
        Account.objects.filter(name="alice").update(password="bcrypt$$2b$04$" + "." * 53)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", change_meanwhile)
    meanwhile = identify("alice", RIGHT)
    monkeypatch.undo()

    assert meanwhile is None
    assert identify("alice", RIGHT) is None


def test_a_deactivated_account_is_refused_at_once() -> None:
    assert identify("alice", RIGHT) is not None

    Account.objects.filter(name="alice").update(is_active=False)

    assert identify("alice", RIGHT) is None


def test_an_account_that_is_active_again_is_accepted_at_once() -> None:
    Account.objects.filter(name="alice").update(is_active=False)
    assert identify("alice", RIGHT) is None

    Account.objects.filter(name="alice").update(is_active=True)

    assert identify("alice", RIGHT) is not None


def test_a_deleted_account_is_refused_and_its_successor_is_another() -> None:
    assert identify("alice", RIGHT) is not None
    Account.objects.get(name="alice").delete()
    assert identify("alice", RIGHT) is None

    Account.objects.create_user("alice", "the other alice's password")

    assert identify("alice", RIGHT) is None


def test_groups_are_those_of_now() -> None:
    identify("alice", RIGHT)
    team = Group.objects.create(name="team")

    Account.objects.get(name="alice").groups.add(team)
    joined = identify("alice", RIGHT)
    Group.objects.filter(name="team").delete()
    left = identify("alice", RIGHT)

    assert joined is not None
    assert left is not None
    assert joined.groups == {"team"}
    assert left.groups == frozenset()


def test_a_stored_password_that_is_broken_is_a_wrong_password() -> None:
    for stored in [
        "",
        "bcrypt$",
        "bcrypt$garbage",
        "bcrypt$$2b$99$" + "." * 53,
        "garbage",
        "\N{SNOWMAN}$x",
        "bcrypt$é",
    ]:
        Account.objects.filter(name="alice").update(password=stored)

        assert identify("alice", RIGHT) is None


def test_no_place_for_bcrypt_is_said_and_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = PasswordQueue(cores=1, length=100)
    monkeypatch.setattr(authentication, "_queue", lambda: queue)
    monkeypatch.setattr(authentication, "QUEUE_SECONDS", 0.01)

    with authentication.place():
        for name in ("alice", "not/a/name"):
            with pytest.raises(BusyError):
                identify(name, RIGHT)

    assert identify("alice", RIGHT) is not None


def test_a_login_that_finds_the_queue_full_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = PasswordQueue(cores=8, length=1)
    monkeypatch.setattr(authentication, "_queue", lambda: queue)

    with authentication.place(), pytest.raises(BusyError):
        identify("alice", RIGHT)

    assert identify("alice", RIGHT) is not None


def test_the_queue_leaves_most_threads_to_pushes_and_pulls() -> None:
    assert authentication._queue()._length <= django_settings.REGISTRY.server.max_slow_clients // 4


def test_who_waited_finds_what_another_checked_meanwhile(checks: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    place = authentication.place

    @contextmanager
    def after_another(request: HttpRequest | None, name: str = "") -> Iterator[None]:
        monkeypatch.setattr(authentication, "place", place)
        identify("alice", RIGHT)
        with place(request, name):
            yield

    monkeypatch.setattr(authentication, "place", after_another)

    assert identify("alice", RIGHT) is not None
    assert len(checks) == 1


@pytest.mark.parametrize("name", ["x" * 65536, "no/name", "\0"])
def test_what_is_no_name_is_not_remembered(name: str) -> None:
    identify(name, RIGHT)

    assert all(name != known for known in authentication._credential_hashes._state[1])


def test_a_right_password_writes_nothing(django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(10) as queries:  # type: ignore[operator]
        identify("alice", RIGHT)

    assert all(query["sql"].startswith("SELECT") for query in queries.captured_queries)
