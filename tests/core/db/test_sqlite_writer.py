"""Threads that write to SQLite at the same moment share a transaction; what fails in it fails for nobody else."""

import fcntl
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError, connection, connections

from core.api.errors import ErrorCode, RegistryError
from core.db import sqlite_writer, transactions
from core.db.database_fault import ConflictError
from core.db.sqlite_lock import InterprocessLock
from core.db.sqlite_writer import SharedTransactionError
from core.db.statement import Statement
from distribution.models import Repository
from tests.database_errors import of_sqlite
from tests.distribution.sessions import at_once

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 60
# A tag of a manifest that is not there: found out by COMMIT only.
_SYNCHRONOUS = Statement("PRAGMA synchronous")
_INSERT_TAG = Statement("""
INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at)
VALUES (%s, 'v1', 4711, statement_timestamp())
""")


@pytest.fixture(autouse=True)
def _sqlite(transactional_db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has many writers")


@contextmanager
def write_lock_taken() -> Iterator[None]:
    """Be a process that writes."""
    with Path(f"{connection.settings_dict['NAME']}.turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds, or in the end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)


def has_waiting(number: int) -> bool:
    """Return whether there is a leader and `number` tasks wait."""
    return sqlite_writer._group_commit._has_leader and len(sqlite_writer._group_commit._waiting) == number


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

    def run_beside_others(self, name: str, fails: Callable[[], None], times: int = 99) -> list[object]:
        """Run `make` with these arguments between two that do not fail."""
        return self.run(
            lambda: self.make("alice/first"), lambda: self.make(name, fails, times), lambda: self.make("alice/last")
        )

    def run_in_order(self, *operations: Callable[[], str]) -> list[object]:
        """Run all in threads of their own, in one transaction and this order, and return what they did."""
        results: list[object] = [None] * len(operations)

        def work(position: int) -> None:
            try:
                results[position] = sqlite_writer.write(
                    operations[position], is_durable=True, is_alone=False, patience_seconds=PATIENCE_SECONDS
                )
            except Exception as error:  # noqa: BLE001 - the test judges it
                results[position] = error
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work, args=(position,)) for position in range(len(operations))]
        with write_lock_taken():
            for position, thread in enumerate(threads):
                thread.start()
                until(partial(has_waiting, position))
        for thread in threads:
            thread.join()
        return results

    def _hold_until_all_wait(self, number: int) -> None:
        with write_lock_taken():
            self._is_held.set()
            # All but the one that leads them.
            until(lambda: len(sqlite_writer._group_commit._waiting) >= number - 1)


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
    """Return whether this process has opened its lock file."""
    return sqlite_writer._process_lock is not None


def refuse() -> None:
    """Fail as an operation does that may not be."""
    raise RegistryError(ErrorCode.DENIED)


def lose() -> None:
    """Fail as a row does that is there already."""
    raise IntegrityError("unique")


def be_locked() -> None:
    """Fail as a table does that another connection of the process holds."""
    raise of_sqlite(sqlite3.SQLITE_LOCKED, "database table is locked")


def break_down() -> None:
    """Fail as a disk does, whose error may end the whole transaction."""
    raise of_sqlite(sqlite3.SQLITE_IOERR, "disk I/O error")


def test_the_leader_runs_the_writes_of_all_waiting_threads(crowd: Crowd) -> None:
    wanted = [f"alice/{number}" for number in range(8)]

    results = crowd.run(*(lambda name=name: crowd.make(name) for name in wanted))

    assert results == wanted
    assert names() == set(wanted)
    assert len({thread for threads in crowd.threads.values() for thread in threads}) == 1


def test_more_than_a_transaction_takes_are_done_too(crowd: Crowd) -> None:
    wanted = [f"alice/{number}" for number in range(2 * sqlite_writer.MAX_TASKS)]

    assert crowd.run(*(lambda name=name: crowd.make(name) for name in wanted)) == wanted
    assert names() == set(wanted)


def test_a_write_that_raises_is_rolled_back_alone(crowd: Crowd) -> None:
    first, refused, last = crowd.run_beside_others("alice/refused", refuse)

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(refused) is ErrorCode.DENIED
    assert names() == {"alice/first", "alice/last"}


@pytest.mark.parametrize("fails", [lose, be_locked])
def test_a_write_that_fails_once_is_retried_and_takes_effect_once(crowd: Crowd, fails: Callable[[], None]) -> None:
    wanted = ["alice/first", "alice/unlucky", "alice/last"]

    results = crowd.run_beside_others("alice/unlucky", fails, times=1)

    assert results == wanted
    assert names() == set(wanted)


@pytest.mark.parametrize("fails", [lose, break_down])
def test_a_write_that_always_fails_is_503_and_the_others_succeed(crowd: Crowd, fails: Callable[[], None]) -> None:
    first, failed, last = crowd.run_beside_others("alice/failed", fails)

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(failed) is ErrorCode.UNAVAILABLE
    assert names() == {"alice/first", "alice/last"}


def test_a_write_with_is_alone_shares_no_transaction(crowd: Crowd) -> None:
    alone = [partial(crowd.make, f"alice/alone-{number}") for number in range(3)]
    together = [partial(crowd.make, f"alice/together-{number}") for number in range(6)]

    def transact(operation: Callable[[], str]) -> str:
        is_alone = operation in alone
        if not is_alone:
            # So that one that is alone leads first, with others at hand.
            until(lambda: sqlite_writer._group_commit._has_leader)
        return sqlite_writer.write(operation, is_durable=True, is_alone=is_alone, patience_seconds=PATIENCE_SECONDS)

    results = crowd.run(*alone, *together, transact=transact)

    assert len(names()) == len(results) == 9
    writers = Counter(thread for threads in crowd.threads.values() for thread in threads)
    assert all(writers[crowd.threads[name][0]] == 1 for name in names() if "alone" in name)
    assert max(writers.values()) > 1


def test_the_writes_beside_one_that_failed_raise_shared_transaction_error(crowd: Crowd) -> None:
    transact = partial(sqlite_writer.write, is_durable=True, is_alone=False, patience_seconds=PATIENCE_SECONDS)

    first, failed = crowd.run(
        lambda: crowd.make("alice/first"), lambda: crowd.make("alice/failed", break_down), transact=transact
    )

    assert isinstance(first, SharedTransactionError)
    assert "disk I/O error" in str(first)
    assert isinstance(failed, OperationalError)
    assert not isinstance(failed, SharedTransactionError)
    assert names() == set()


@pytest.mark.parametrize("fails", [refuse, lambda: None], ids=["and fails", "and says nothing"])
def test_a_write_that_rolls_the_transaction_back_lets_the_others_succeed(
    crowd: Crowd, fails: Callable[[], None]
) -> None:
    """SQLite does after some errors, and who catches them may say something else, or nothing."""

    def end() -> None:
        connection.connection.rollback()
        fails()

    first, failed, last = crowd.run_beside_others("alice/failed", end)

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(failed) in (ErrorCode.DENIED, ErrorCode.UNAVAILABLE)
    assert names() == {"alice/first", "alice/last"}


def test_an_error_raised_on_rows_that_were_rolled_back_is_not_reported(crowd: Crowd) -> None:
    def refuse_a_second() -> str:
        if names():
            raise RegistryError(ErrorCode.DENIED)
        return "the first"

    made, refused, failed = crowd.run_in_order(
        lambda: crowd.make("alice/first"), refuse_a_second, lambda: crowd.make("alice/failed", break_down)
    )

    assert isinstance(made, SharedTransactionError)
    assert isinstance(refused, SharedTransactionError)
    assert isinstance(failed, OperationalError)
    assert names() == set()


def test_a_durable_write_is_synchronous_beside_volatile_ones(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    options = connections.databases["default"]["OPTIONS"]
    monkeypatch.setitem(options, "init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")

    def level() -> str:
        return str(_SYNCHRONOUS.value())

    def transact(operation: Callable[[], str], *, is_durable: bool) -> str:
        return sqlite_writer.write(operation, is_durable=is_durable, is_alone=False, patience_seconds=PATIENCE_SECONDS)

    def volatile_first(operation: Callable[[], str]) -> str:
        is_first = operation is first
        if not is_first:
            until(lambda: sqlite_writer._group_commit._has_leader)
        return transact(operation, is_durable=not is_first)

    first = partial(level)

    assert crowd.run(first, *[partial(level) for _ in range(3)], transact=volatile_first) == ["2"] * 4
    volatile = partial(transact, is_durable=False)
    assert crowd.run(*[partial(level) for _ in range(3)], transact=volatile) == ["1"] * 3
    assert crowd.run(*[partial(level) for _ in range(3)]) == ["2"] * 3


def test_a_lock_that_can_not_be_opened_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    transactions.run(Repository.objects.create, name="alice/before")
    file = Path(f"{connection.settings_dict['NAME']}.turn")
    # This process has it open: a new file in its place would be another lock than that of other processes.
    aside = file.rename(f"{file}.aside")
    monkeypatch.setattr(sqlite_writer, "_process_lock", None)
    file.mkdir()
    try:
        with pytest.raises(RegistryError) as raised:
            transactions.run(Repository.objects.create, name="alice/app")
    finally:
        file.rmdir()

    assert raised.value.code is ErrorCode.UNAVAILABLE
    assert transactions.run(Repository.objects.create, name="alice/app").pk
    aside.rename(file)


def test_the_wait_for_a_lock_has_a_timeout(tmp_path: Path) -> None:
    ours, other = InterprocessLock(str(tmp_path / "lock")), InterprocessLock(str(tmp_path / "lock"))

    with other.acquired(PATIENCE_SECONDS), pytest.raises(OperationalError), ours.acquired(0.0):
        pass
    with ours.acquired(PATIENCE_SECONDS), pytest.raises(OperationalError), other.acquired(0.0):
        pass
    with other.acquired(PATIENCE_SECONDS):
        pass


def test_a_lock_granted_after_the_timeout_releases_no_other_of_its_process(tmp_path: Path) -> None:
    ours, other = InterprocessLock(str(tmp_path / "lock")), InterprocessLock(str(tmp_path / "lock"))

    for _ in range(20):
        with other.acquired(PATIENCE_SECONDS), pytest.raises(ConflictError), ours.acquired(0.0):
            pass
        # Its lock comes now, and nobody waits for it.
        with ours.acquired(PATIENCE_SECONDS), pytest.raises(ConflictError), other.acquired(0.05):
            pass


def test_a_lock_is_waited_for_again_once_threads_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = InterprocessLock(str(tmp_path / "lock")), InterprocessLock(str(tmp_path / "lock"))

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with other.acquired(PATIENCE_SECONDS):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(ConflictError), ours.acquired(PATIENCE_SECONDS):
                pass
        with pytest.raises(ConflictError), ours.acquired(0.0):
            pass
    with ours.acquired(PATIENCE_SECONDS):
        pass


def test_a_transaction_that_sqlite_rolled_back_is_retried() -> None:
    ended: list[str] = []

    def write() -> str:
        if not ended:
            ended.append("by SQLite, as after some errors")
            connection.connection.execute("ROLLBACK")
            return "lost"
        return Repository.objects.create(name="alice/app").name

    assert transactions.run(write) == "alice/app"
    assert names() == {"alice/app"}


def test_a_lock_file_that_root_made_is_the_servers(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes what is another's")
    os.chown(tmp_path, 65534, 65534)

    InterprocessLock(str(tmp_path / "lock"))

    assert (tmp_path / "lock").stat().st_uid == 65534


def test_a_write_that_fails_at_commit_lets_the_others_succeed(crowd: Crowd) -> None:
    def dangle() -> str:
        crowd.make("alice/failed")
        _INSERT_TAG.run(Repository.objects.get(name="alice/failed").pk)
        return "never"

    first, failed, last = crowd.run(lambda: crowd.make("alice/first"), dangle, lambda: crowd.make("alice/last"))

    assert (first, last) == ("alice/first", "alice/last")
    assert code_of(failed) is ErrorCode.UNAVAILABLE
    assert names() == {"alice/first", "alice/last"}


def test_a_task_that_times_out_never_runs(crowd: Crowd) -> None:
    def give_up() -> str:
        task = sqlite_writer.Task(lambda: crowd.make("alice/late"), is_durable=True, is_alone=False)
        return sqlite_writer._group_commit.write(task, patience_seconds=0.0)

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


def test_a_forked_process_opens_its_own_lock_file() -> None:
    transactions.run(Repository.objects.create, name="alice/app")
    assert has_lock_file()

    child = os.fork()
    if not child:
        os._exit(1 if has_lock_file() else 0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
