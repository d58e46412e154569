"""Write-behind for single rows: whoever asks goes on when the database can't be written, and the write is done later.

    request ──> pending ──> one thread: all that is pending in one transaction ──> request: so many rows were changed
                              └─ fails or takes long: fence, then "later" to every request, until nothing is pending

Each write is a statement that may be run twice, or late: the renewal of a row that was read, or a compare-and-set. What
is pending is lost with its process: a push that was told of a row then finds it gone, and sends it again.
"""

import os
import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from math import inf

from django.conf import settings
from django.db import Error, connection, connections

from core.blocking import blocking_io
from core.db import transactions
from core.db.database_fault import report
from core.db.pooled_connection import release_connection
from core.db.statement import Statement, database_of_thread
from distribution import collection_fence

# A request waits no longer than this, whatever the disk does; what was waited for without the fence, another attempt
# and the fence fit in.
PATIENCE_SECONDS = 1.0
UNFENCED_SECONDS = 0.3
FIRST_ATTEMPT_SECONDS = 0.4
RETRY_SECONDS = 2.0
# Of some 300 bytes each.
MOST_PENDING = 10_000
# Of one too many only the moment is kept: a promise of it holds as long as a push takes from its question on.
FORGOTTEN_SECONDS = 3600.0
# PostgreSQL locks rows: one each transaction waits for nobody while others wait for it.
BATCH = {"sqlite": 500, "postgresql": 1}

# For a writer outside of the group commit; this connection is the thread's own.
_DO_NOT_WAIT = Statement("PRAGMA busy_timeout = 200")

_Key = tuple[Statement, tuple[object, ...]]


@dataclass(eq=False, slots=True)
class _Write:
    """A statement to be run, and how many rows it changed once it was."""

    statement: Statement
    parameters: tuple[object, ...]
    rows: int | None = None
    begun_at: float = field(default_factory=time.monotonic)


class DeferredWrites:
    """The writes of a process, and the thread that does them, which ends with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress = threading.Condition(self._lock)
        self._pending: dict[_Key, _Write] = {}
        self._thread: threading.Thread | None = None
        # With the fence had, or asked for in vain, what is pending is waited for by nobody but the thread.
        self._is_late = False
        self._fenced_until = 0.0

    def write(self, statement: Statement, *parameters: object) -> int | None:
        """Return how many rows the statement changed; None when that takes longer than PATIENCE_SECONDS, or fails.

        Beyond MOST_PENDING a write is dropped: it may be a promise, so the fence stays for FORGOTTEN_SECONDS, or half
        the grace period if that is less.
        """
        with blocking_io(), self._lock:
            write = self._remembered((statement, parameters))
            if not self._has_thread() or write is None:
                return None
            self._progress.wait_for(lambda: self._is_late or write.rows is not None, PATIENCE_SECONDS)
            return write.rows

    def is_idle(self) -> bool:
        """Tell whether nothing is pending and no thread at work."""
        with self._lock:
            return not self._pending and self._thread is None

    def _remembered(self, key: _Key) -> _Write | None:
        if key not in self._pending and len(self._pending) >= MOST_PENDING:
            half_of_grace = settings.REGISTRY.garbage_collector.grace_period.total_seconds() / 2
            self._fenced_until = time.monotonic() + min(half_of_grace, FORGOTTEN_SECONDS)
            return None
        return self._pending.setdefault(key, _Write(*key))

    def _has_thread(self) -> bool:
        """Start the thread unless it is at work; False when the system has none to give. The lock is held."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="deferred-writes", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        try:
            while self._has_written(FIRST_ATTEMPT_SECONDS, UNFENCED_SECONDS):
                if self._is_over():
                    return
            self._write_late()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread, self._is_late = None, False
            connections.close_all()

    def _write_late(self) -> None:
        """Hold the fence until all is written."""
        guard = collection_fence.guard()
        try:
            while True:
                release_connection()
                _hold(guard)
                self._tell_later()
                if self._has_written(transactions.PATIENCE_SECONDS) and self._is_over():
                    return
                time.sleep(RETRY_SECONDS)
        finally:
            guard.release()

    def _has_written(self, patience_seconds: float, longest_seconds: float = inf) -> bool:
        """Write what is pending; False as soon as something can't be written, or has been pending for too long."""
        while batch := self._batch():
            if time.monotonic() - batch[0].begun_at > longest_seconds:
                return False
            try:
                rows = _run_all(batch, patience_seconds)
            except Exception as error:  # noqa: BLE001 - reported; without this thread nothing would be tried again
                report(error)
                transactions.drop_broken_connection(is_suspect=True)
                self._put_back(batch)
                return False
            self._tell(batch, rows)
        release_connection()
        return True

    def _batch(self) -> list[_Write]:
        with self._lock:
            return list(islice(self._pending.values(), BATCH[connection.vendor]))

    def _put_back(self, batch: list[_Write]) -> None:
        """Let others be tried first."""
        with self._lock:
            for write in batch:
                key = (write.statement, write.parameters)
                self._pending[key] = self._pending.pop(key)

    def _tell(self, batch: list[_Write], rows: list[int]) -> None:
        with self._lock:
            for write, number in zip(batch, rows, strict=True):
                del self._pending[write.statement, write.parameters]
                write.rows = number
            self._progress.notify_all()

    def _tell_later(self) -> None:
        with self._lock:
            self._is_late = True
            self._progress.notify_all()

    def _is_over(self) -> bool:
        """End the thread's work unless there is more of it."""
        with self._lock:
            if self._pending or time.monotonic() < self._fenced_until:
                return False
            self._thread, self._is_late = None, False
            return True


def _hold(guard: collection_fence.Guard) -> None:
    try:
        guard.hold()
    except (OSError, Error) as error:
        # A read is answered all the same. The row may then be collected before its renewal is written, and a push that
        # was told of it has to send it again; nothing that a manifest names is ever in danger.
        report(error)


def _run_all(batch: list[_Write], patience_seconds: float) -> list[int]:
    if connection.vendor == "sqlite":
        _DO_NOT_WAIT.run()
    return transactions.run_once(lambda: [write.statement.run(*write.parameters) for write in batch], patience_seconds)


_writes = DeferredWrites()


def write(statement: Statement, *parameters: object) -> int | None:
    """Return how many rows the statement changed, within PATIENCE_SECONDS.

    None: the database can't be written now. The statement is run as soon as it can, and no collector removes anything
    from before this returns until then, unless the fence itself can't be had in that time: a collector's transaction or
    the disk stands still. Inside a transaction the statement is run at once, and what goes wrong is raised.
    """
    database = database_of_thread()
    if database.in_atomic_block:
        return statement.run(*parameters)
    # The thread may need the connection.
    release_connection()
    return _writes.write(statement, *parameters)


def _begin_anew() -> None:
    """Share nothing with the process that this one was forked from: what is pending is written there."""
    global _writes  # noqa: PLW0603 - one database a process
    _writes = DeferredWrites()


os.register_at_fork(after_in_child=_begin_anew)
