"""Wrong passwords while the database can't be written: still wrong, and still counted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from accounts.models import FailedLogin
from accounts.throttling import throttle
from accounts.throttling.failure_memory import FailureMemory
from tests.accounts.test_throttle import HOME, guess, is_accepted, login, tick
from tests.process_memory import forget_logins
from tests.read_only import read_only_database

__all__ = ["tick"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def unwritable(cast: None) -> Iterator[None]:
    """Let the database refuse writes from here on."""
    with read_only_database():
        yield


@pytest.mark.usefixtures("unwritable", "tick")
def test_a_wrong_password_is_401_and_the_log_says_where_it_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    response = login("wrong")

    assert response.status_code == 401
    assert "a wrong password is counted in memory: it can't be stored" in caplog.messages


@pytest.mark.usefixtures("unwritable", "tick")
def test_the_right_password_is_accepted_among_wrong_ones() -> None:
    guess(5)

    assert is_accepted()


@pytest.mark.usefixtures("unwritable", "tick")
def test_guesses_are_429_as_ever(checks: list[bytes]) -> None:
    guess(20)

    assert login("another guess").status_code == 429
    assert not is_accepted()
    assert len(checks) == throttle.OF_ACCOUNT.tries


@pytest.mark.usefixtures("unwritable")
def test_a_guess_is_forgiven_as_ever(tick: Callable[[float], None]) -> None:
    guess(10)

    tick(30)

    assert is_accepted()


@pytest.mark.usefixtures("cast", "tick")
def test_tries_that_were_spent_before_are_not_given_back(checks: list[bytes]) -> None:
    guess(8)

    with read_only_database():
        guess(8, word="more")

    assert len(checks) == throttle.OF_ACCOUNT.tries


@pytest.mark.usefixtures("cast", "tick")
def test_the_next_failure_that_is_stored_takes_the_others_over() -> None:
    with read_only_database():
        guess(7)

    guess(1, word="stored")

    forget_logins()
    assert guess(3, word="more") == [401, 429, 429]
    assert FailedLogin.objects.filter(account="alice", network=HOME).count() == 1


def test_a_full_memory_forgets_what_is_forgiven_first() -> None:
    memory = FailureMemory(limit=2)

    for name, failures in (("guessed at", 9), ("once", 1), ("twice", 2)):
        for _ in range(failures):
            memory.update((name, HOME), NOW, lambda forgiven_at: forgiven_at + throttle.OF_ACCOUNT.forgiven_after)

    assert [memory.get((name, HOME), NOW) > NOW for name in ("guessed at", "once", "twice")] == [True, False, True]
