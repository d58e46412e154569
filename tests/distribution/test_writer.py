"""Threads that write to SQLite at the same moment share a transaction; what fails in it fails for nobody else."""

import fcntl
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError, connection

from accounts.statement import Statement
from distribution import transactions, writer
from distribution.models import Repository
from distribution.writer import SharedTransactionError
from tests.distribution.sessions import at_once
from tokens.errors import ErrorCode, RegistryError

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30
# A tag of a manifest that is not there: found out by COMMIT only.
_INSERT_TAG = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at)
VALUES (%s, 'v1', 4711, statement_timestamp())
""")


@pytest.fixture(autouse=True)
def _sqlite(transactional_db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has many writers")


@contextmanager
def turn_taken() -> Iterator[None]:
    """Be a process that writes."""
    with Path(f"{connection.settings_dict['NAME']}.turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Crowd:
    """Operations that come while another process writes, so that all of them wait; each makes a repository."""

    def __init__(self) -> None:
        self.threads: dict[str, list[int]] = {}

    def make(self, name: str, fails: Callable[[], None] = lambda: None, times: int = 99) -> str:
        """Make the repository, and fail the first so many times."""
        self.threads.setdefault(name, []).append(threading.get_ident())
        Repository.objects.create(name=name)
        if len(self.threads[name]) <= times:
            fails()
        return name

    def run(
        self, *operations: Callable[[], str], transact: Callable[[Callable[[], str]], str] = transactions.run
    ) -> list[object]:
        """Run all in threads of their own, in one transaction as far as they can be, and return what they did."""
        gate = threading.Thread(target=self._hold_until_all_wait, args=(len(operations),))
        self._is_held = threading.Event()
        gate.start()
        assert self._is_held.wait(PATIENCE_SECONDS)
        results = at_once(*(lambda operation=operation: transact(operation) for operation in operations))
        gate.join()
        return results

    def _hold_until_all_wait(self, number: int) -> None:
        with turn_taken():
            self._is_held.set()
            deadline = time.monotonic() + PATIENCE_SECONDS
            # All but the one that leads them.
            while len(writer._writer._waiting) < number - 1 and time.monotonic() < deadline:
                time.sleep(0.001)


@pytest.fixture
def crowd() -> Crowd:
    """Return a crowd."""
    return Crowd()


def names() -> set[str]:
    """Return the names of the repositories that there are."""
    return set(Repository.objects.values_list("name", flat=True))


def code_of(result: object) -> ErrorCode | None:
    """Return the code of the error that was raised, None for anything else."""
    return result.code if isinstance(result, RegistryError) else None


def has_lock_file() -> bool:
    """Return whether this process has opened the file that stands for its turn."""
    return writer._file is not None


def refuse() -> None:
    """Fail as an operation does that may not be."""
    raise RegistryError(ErrorCode.DENIED)


def lose() -> None:
    """Fail as a row does that is there already."""
    raise IntegrityError("unique")


def break_down() -> None:
    """Fail as a disk does, whose error may end the whole transaction."""
    raise OperationalError("disk I/O error")


def test_those_that_wait_are_done_by_one_thread(crowd: Crowd) -> None:
    wanted = [f"alice/{number}" for number in range(8)]

    results = crowd.run(*(lambda name=name: crowd.make(name) for name in wanted))

    assert results == wanted
    assert names() == set(wanted)
    assert len({thread for threads in crowd.threads.values() for thread in threads}) == 1


def test_more_than_a_transaction_takes_are_done_too(crowd: Crowd) -> None:
    wanted = [f"alice/{number}" for number in range(2 * writer.MOST_TASKS)]

    assert crowd.run(*(lambda name=name: crowd.make(name) for name in wanted)) == wanted
    assert names() == set(wanted)


def test_one_that_is_refused_undoes_only_its_own(crowd: Crowd) -> None:
    first, refused, last = crowd.run(
        lambda: crowd.make("alice/first"),
        lambda: crowd.make("alice/refused", refuse),
        lambda: crowd.make("alice/last"),
    )

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(refused) is ErrorCode.DENIED
    assert names() == {"alice/first", "alice/last"}


@pytest.mark.parametrize("fails", [lose, break_down])
def test_one_that_fails_once_is_done_once_with_all_others(crowd: Crowd, fails: Callable[[], None]) -> None:
    wanted = ["alice/first", "alice/unlucky", "alice/last"]

    results = crowd.run(
        lambda: crowd.make("alice/first"),
        lambda: crowd.make("alice/unlucky", fails, times=1),
        lambda: crowd.make("alice/last"),
    )

    assert results == wanted
    assert names() == set(wanted)


@pytest.mark.parametrize("fails", [lose, break_down])
def test_one_that_always_fails_takes_nobody_with_it(crowd: Crowd, fails: Callable[[], None]) -> None:
    first, failed, last = crowd.run(
        lambda: crowd.make("alice/first"),
        lambda: crowd.make("alice/failed", fails),
        lambda: crowd.make("alice/last"),
    )

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(failed) is ErrorCode.UNAVAILABLE
    assert names() == {"alice/first", "alice/last"}


def test_one_that_is_alone_shares_with_nobody(crowd: Crowd) -> None:
    alone = [partial(crowd.make, f"alice/alone-{number}") for number in range(3)]
    together = [partial(crowd.make, f"alice/together-{number}") for number in range(6)]

    def transact(operation: Callable[[], str]) -> str:
        is_alone = operation in alone
        while not is_alone and not writer._writer._is_led:
            # So that one that is alone leads first, with others at hand.
            time.sleep(0.001)
        return writer.write(operation, is_durable=True, is_alone=is_alone, patience_seconds=PATIENCE_SECONDS)

    results = crowd.run(*alone, *together, transact=transact)

    assert len(names()) == len(results) == 9
    writers = Counter(thread for threads in crowd.threads.values() for thread in threads)
    assert all(writers[crowd.threads[name][0]] == 1 for name in names() if "alone" in name)
    assert max(writers.values()) > 1


def test_who_shared_a_transaction_that_failed_is_told_so(crowd: Crowd) -> None:
    transact = partial(writer.write, is_durable=True, is_alone=False, patience_seconds=PATIENCE_SECONDS)

    first, failed = crowd.run(
        lambda: crowd.make("alice/first"), lambda: crowd.make("alice/failed", break_down), transact=transact
    )

    assert isinstance(first, SharedTransactionError)
    assert "disk I/O error" in str(first)
    assert isinstance(failed, OperationalError)
    assert not isinstance(failed, SharedTransactionError)
    assert names() == set()


def test_one_that_the_commit_refuses_takes_nobody_with_it(crowd: Crowd) -> None:
    def dangle() -> str:
        crowd.make("alice/failed")
        _INSERT_TAG.run(Repository.objects.get(name="alice/failed").pk)
        return "never"

    first, failed, last = crowd.run(lambda: crowd.make("alice/first"), dangle, lambda: crowd.make("alice/last"))

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(failed) is ErrorCode.UNAVAILABLE
    assert names() == {"alice/first", "alice/last"}


def test_one_whose_turn_does_not_come_is_never_done(crowd: Crowd) -> None:
    def give_up() -> str:
        task = writer.Task(lambda: crowd.make("alice/late"), is_durable=True, is_alone=False)
        return writer._writer.write(task, patience_seconds=0.0)

    leads, leader = threading.Event(), threading.Thread(target=lambda: transactions.run(lead))

    def lead() -> None:
        leads.set()
        assert over.wait(PATIENCE_SECONDS)

    over = threading.Event()
    leader.start()
    assert leads.wait(PATIENCE_SECONDS)
    try:
        with pytest.raises(OperationalError):
            give_up()
    finally:
        over.set()
        leader.join()

    assert transactions.run(crowd.make, "alice/next") == "alice/next"
    assert names() == {"alice/next"}


def test_a_process_that_was_forked_has_a_turn_of_its_own() -> None:
    transactions.run(Repository.objects.create, name="alice/app")
    assert has_lock_file()

    child = os.fork()
    if not child:
        os._exit(1 if has_lock_file() else 0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
