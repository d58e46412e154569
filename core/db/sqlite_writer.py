"""Who writes to SQLite next: one process at a time, and in it everything that threads have to write at that moment.

    thread ──> nobody writes: it leads ──> lock among processes ──> BEGIN, its task, those of all who wait, COMMIT
           └─> somebody does: it waits, until its task was done in that transaction, or it leads the next one

SQLite has one writer, each COMMIT waits for the disk, and whoever finds it busy sleeps before looking again. Here the
kernel wakes the next process, and threads that wait share a transaction, in which each task has a savepoint.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from core.db.database_fault import ConflictError
from core.db.sqlite_lock import InterprocessLock
from core.db.statement import Statement, database_of_thread

# Whoever waits for one of these waits for all of them.
MOST_TASKS = 16

_NORMAL = 1
_SYNCHRONOUS = Statement("PRAGMA synchronous")
_DO_NOT_WAIT = Statement("PRAGMA synchronous = NORMAL")
_WAIT = Statement("PRAGMA synchronous = FULL")

Result = TypeVar("Result")


class SharedTransactionError(ConflictError):
    """Nothing was wrong with this task, but the transaction that it shared with others failed: it tries again alone."""


class Task(Generic[Result]):
    """What a thread has to write. `is_durable` lets it wait for the disk; one that `is_alone` shares no transaction."""

    def __init__(self, operation: Callable[[], Result], *, is_durable: bool, is_alone: bool) -> None:
        """Do nothing yet."""
        self.operation = operation
        self.is_durable = is_durable
        self.is_alone = is_alone
        self.leads = False
        # An Event takes three times as many system calls.
        self._gate = threading.Lock()
        self._gate.acquire()
        self.result: Any = None
        self.error: BaseException | None = None

    def wait(self, seconds: float = -1) -> bool:
        """Wait until it is woken; False when it is not within `seconds`."""
        return self._gate.acquire(timeout=seconds)

    def wake(self) -> None:
        """Let the thread that waits go on: the task is done, or is to lead."""
        self._gate.release()

    def outcome(self) -> Result:
        """Return what the operation returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        result: Result = self.result
        return result

    def attempt(self) -> None:
        """Do it in a savepoint. What may have ended the whole transaction is raised; all else is the task's own."""
        try:
            with transaction.atomic():
                self.result = self.operation()
        except Exception as error:
            self.error = error
            is_own = isinstance(error, IntegrityError) or not isinstance(error, DatabaseError | MemoryError)
            if connection.needs_rollback or not is_own:
                raise
        _check_open()


class Writer:
    """The tasks of a process, one transaction after another."""

    def __init__(self) -> None:
        """Have nothing to do."""
        self._lock = threading.Lock()
        self._waiting: deque[Task[Any]] = deque()
        self._is_led = False

    def write(self, task: Task[Result], patience_seconds: float) -> Result:
        """Return what the task's operation returns, once that is committed.

        Raises what it raises, and ConflictError when its turn does not come within `patience_seconds`.
        """
        if connection.in_atomic_block:
            with transaction.atomic():
                return task.operation()
        if self._is_led_by(task) or self._is_to_lead(task, patience_seconds):
            self._lead(task, patience_seconds)
        return task.outcome()

    def _is_led_by(self, task: Task[Any]) -> bool:
        with self._lock:
            task.leads, self._is_led = not self._is_led, True
            if not task.leads:
                self._waiting.append(task)
            return task.leads

    def _is_to_lead(self, task: Task[Any], seconds: float) -> bool:
        """Wait until the task is done (False), or is the next that leads."""
        if not task.wait(seconds):
            with self._lock:
                if task in self._waiting:
                    self._waiting.remove(task)
                    raise ConflictError("another thread writes")
            # It was taken at that very moment.
            task.wait()
        return task.leads

    def _lead(self, task: Task[Any], patience_seconds: float) -> None:
        tasks = [task]
        try:
            with _alone_among_processes(patience_seconds):
                tasks += self._companions(task)
                _commit(tasks)
        except BaseException as error:
            _fail(tasks, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over()
            for companion in tasks[1:]:
                companion.wake()

    def _companions(self, task: Task[Any]) -> list[Task[Any]]:
        """Take those who wait and may share the task's transaction."""
        with self._lock:
            found = [] if task.is_alone else [other for other in self._waiting if not other.is_alone]
            found = found[: MOST_TASKS - 1]
            for other in found:
                self._waiting.remove(other)
            return found

    def _hand_over(self) -> None:
        with self._lock:
            self._is_led = bool(self._waiting)
            if not self._waiting:
                return
            successor = self._waiting.popleft()
        successor.leads = True
        successor.wake()


def _commit(tasks: list[Task[Any]]) -> None:
    must_wait = any(task.is_durable for task in tasks) or _SYNCHRONOUS.value() <= _NORMAL
    with nullcontext() if must_wait else _without_waiting_for_the_disk():
        if len(tasks) == 1:
            with transaction.atomic():
                tasks[0].result = tasks[0].operation()
                _check_open()
            return
        with transaction.atomic():
            for task in tasks:
                task.attempt()


def _check_open() -> None:
    """Raise ConflictError when SQLite has ended the transaction: it does after some errors, whoever caught them."""
    if not database_of_thread().connection.in_transaction:
        raise ConflictError("the database ended the transaction")


@contextmanager
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Let COMMIT not wait; a later one that does makes it durable too."""
    _DO_NOT_WAIT.run()
    try:
        yield
    finally:
        try:
            _WAIT.run()
        except DatabaseError:
            # No connection may stay that does not wait.
            connection.close()


def _fail(tasks: list[Task[Any]], error: BaseException) -> None:
    """Let every task fail: the one that broke the database by that error; nothing that the others found counts."""
    is_of_database = isinstance(error, DatabaseError | MemoryError)
    for task in tasks:
        if len(tasks) == 1 or (is_of_database and task.error is error):
            task.error = error
        else:
            task.error = SharedTransactionError(f"a shared transaction failed: {error}")


@contextmanager
def _alone_among_processes(patience_seconds: float) -> Iterator[None]:
    database = database_of_thread()
    if database.is_in_memory_db():
        yield
        return
    with _turn_of(database.settings_dict["NAME"]).taken(patience_seconds):
        yield


def _turn_of(name: str) -> InterprocessLock:
    global _turn  # noqa: PLW0603 - one database a process
    if _turn is None:
        try:
            _turn = InterprocessLock(f"{name}.turn")
        except OSError as error:
            raise OperationalError(f"{name}.turn: {error.strerror}") from error
    return _turn


_writer = Writer()
_turn: InterprocessLock | None = None


def write(operation: Callable[[], Result], *, is_durable: bool, is_alone: bool, patience_seconds: float) -> Result:
    """Return what `operation` returns, once that is committed: the way to SQLite of all that pushes or collects."""
    return _writer.write(Task(operation, is_durable=is_durable, is_alone=is_alone), patience_seconds)


def _begin_anew() -> None:
    """Share nothing with the process that this one was forked from: neither its lock nor its tasks."""
    global _turn, _writer
    _turn, _writer = None, Writer()


os.register_at_fork(after_in_child=_begin_anew)
