"""Group commit for SQLite: a file lock orders processes, threads share one transaction.

    thread ──> no leader: it becomes the leader ──> file lock ──> BEGIN, its task and the queued ones, COMMIT
           └─> a leader exists: it queues its task, until a leader has run it or it becomes the next leader

SQLite has one writer, each COMMIT waits for the disk, and a busy database is polled with sleeps. Here the kernel wakes
the next process, and queued threads share a transaction, in which each task has a savepoint.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from core.db.database_fault import ConflictError
from core.db.sqlite_lock import InterprocessLock
from core.db.statement import Statement, database_of_thread
from core.metrics.catalog import GROUP_COMMIT

# Each task of a transaction waits for all of them.
MAX_TASKS = 16

_NORMAL = 1
_SYNCHRONOUS = Statement("PRAGMA synchronous")
_DO_NOT_WAIT = Statement("PRAGMA synchronous = NORMAL")
_WAIT = Statement("PRAGMA synchronous = FULL")

Result = TypeVar("Result")


class SharedTransactionError(ConflictError):
    """The shared transaction failed for another task's reason: this one is retried in a transaction of its own."""


class Task(Generic[Result]):
    """One thread's writes. An `is_durable` one waits for the disk; one that `is_alone` shares no transaction."""

    def __init__(self, operation: Callable[[], Result], *, is_durable: bool, is_alone: bool) -> None:
        self.operation = operation
        self.is_durable = is_durable
        self.is_alone = is_alone
        self.is_leader = False
        # A lock that starts acquired: an Event takes three times as many system calls.
        self._woken = threading.Lock()
        self._woken.acquire()
        self.result: Any = None
        self.error: BaseException | None = None

    def wait(self, seconds: float = -1) -> bool:
        """Wait for `wake`; False after `seconds`."""
        return self._woken.acquire(timeout=seconds)

    def wake(self) -> None:
        """Wake the thread: its task is done, or it is the new leader."""
        self._woken.release()

    def attempt(self) -> None:
        """Run the operation in a savepoint. Raises only what may have ended the whole transaction."""
        try:
            with transaction.atomic():
                self.result = self.operation()
        except Exception as error:
            self.error = error
            is_own = isinstance(error, IntegrityError) or not isinstance(error, DatabaseError | MemoryError)
            if connection.needs_rollback or not is_own:
                raise
        _check_open()


class GroupCommit:
    """The queue of a process: one leader at a time commits its own task with those of its followers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Task[Any]] = deque()
        self._has_leader = False

    def write(self, task: Task[Result], patience_seconds: float) -> Result:
        """Return the result of the task's operation once it is committed.

        Raises what the operation raises, and ConflictError when it does not start within `patience_seconds`.
        """
        if database_of_thread().in_atomic_block:
            with transaction.atomic():
                return task.operation()
        with self._lock:
            task.is_leader, self._has_leader = not self._has_leader, True
            if not task.is_leader:
                self._waiting.append(task)
        if not task.is_leader:
            self._follow(task, patience_seconds)
        if task.is_leader:
            self._lead(task, patience_seconds)
        if task.error is not None:
            raise task.error
        result: Result = task.result
        return result

    def _follow(self, task: Task[Any], seconds: float) -> None:
        """Wait until a leader has run the task, or has made it the next leader."""
        if task.wait(seconds):
            return
        with self._lock:
            if task in self._waiting:
                self._waiting.remove(task)
                raise ConflictError("another thread writes")
        # A leader took it at that very moment.
        task.wait()

    def _lead(self, task: Task[Any], patience_seconds: float) -> None:
        tasks = [task]
        try:
            database = database_of_thread()
            with (
                nullcontext()
                if database.is_in_memory_db()
                else _lock_of(database.settings_dict["NAME"]).acquired(patience_seconds)
            ):
                tasks += self._take_followers(task)
                _commit(tasks)
        except BaseException as error:
            _fail(tasks, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._promote_next()
            for follower in tasks[1:]:
                follower.wake()

    def _take_followers(self, task: Task[Any]) -> list[Task[Any]]:
        """Take the queued tasks that may share the leader's transaction."""
        with self._lock:
            found = [] if task.is_alone else [other for other in self._waiting if not other.is_alone]
            found = found[: MAX_TASKS - 1]
            for other in found:
                self._waiting.remove(other)
            return found

    def _promote_next(self) -> None:
        with self._lock:
            self._has_leader = bool(self._waiting)
            if not self._waiting:
                return
            successor = self._waiting.popleft()
        successor.is_leader = True
        successor.wake()


def _commit(tasks: list[Task[Any]]) -> None:
    must_wait = any(task.is_durable for task in tasks) or _SYNCHRONOUS.value() <= _NORMAL
    if not must_wait:
        # A later COMMIT that waits for the disk makes this one durable too.
        _DO_NOT_WAIT.run()
    try:
        with transaction.atomic():
            if len(tasks) == 1:
                tasks[0].result = tasks[0].operation()
                _check_open()
            else:
                for task in tasks:
                    task.attempt()
        GROUP_COMMIT.observe(len(tasks))
    finally:
        if not must_wait:
            try:
                _WAIT.run()
            except DatabaseError:
                # No later COMMIT may skip the disk by this connection's setting.
                connection.close()


def _check_open() -> None:
    """Detect a transaction that SQLite ended early, as it does after some errors. Raises ConflictError."""
    if not database_of_thread().connection.in_transaction:
        raise ConflictError("the database ended the transaction")


def _fail(tasks: list[Task[Any]], error: BaseException) -> None:
    """Fail every task: the one that broke the database with `error`, the others so that they are retried."""
    is_of_database = isinstance(error, DatabaseError | MemoryError)
    for task in tasks:
        if len(tasks) == 1 or (is_of_database and task.error is error):
            task.error = error
        else:
            task.error = SharedTransactionError(f"a shared transaction failed: {error}")


def _lock_of(name: str) -> InterprocessLock:
    """Return the lock of the database `name`; its file is called as it was in earlier versions."""
    global _process_lock  # noqa: PLW0603 - one database a process
    if _process_lock is None:
        try:
            _process_lock = InterprocessLock(f"{name}.turn")
        except OSError as error:
            raise OperationalError(f"{name}.turn: {error.strerror}") from error
    return _process_lock


_group_commit = GroupCommit()
_process_lock: InterprocessLock | None = None


def write(operation: Callable[[], Result], *, is_durable: bool, is_alone: bool, patience_seconds: float) -> Result:
    """Return the result of `operation` once it is committed: every push and collection writes to SQLite by this."""
    return _group_commit.write(Task(operation, is_durable=is_durable, is_alone=is_alone), patience_seconds)


def _reset_after_fork() -> None:
    """Share neither lock nor queue with the parent process."""
    global _process_lock, _group_commit
    _process_lock, _group_commit = None, GroupCommit()


os.register_at_fork(after_in_child=_reset_after_fork)
