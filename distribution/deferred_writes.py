"""Write-behind for single rows: while the database can't be written, requests continue and their writes are deferred.

    request ──> pending ──> one thread: all pending writes in one transaction ──> request: number of changed rows
                              └─ fails or takes long: fence, then None to every request, until nothing is pending

Each write is a statement that may run twice, or late: a touch of a row that was read, or a compare-and-set. Pending
writes are lost with their process: a push that was told of a row may then find it removed, and sends it again.
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
from core.db.statement import Statement, database_of_thread
from core.db.transactions import release_connection
from distribution import collection_fence

# A request waits at most this long, whatever the disk does: enough for an attempt without the fence, the fence itself
# and another attempt.
PATIENCE_SECONDS = 1.0
UNFENCED_SECONDS = 0.3
FIRST_ATTEMPT_SECONDS = 0.4
RETRY_SECONDS = 2.0
# Each takes some 300 bytes.
MAX_PENDING = 10_000
# A dropped write is forgotten: the fence stays locked for this time, until the push that read the row has ended.
FORGOTTEN_SECONDS = 3600.0
# PostgreSQL locks rows: a transaction that locks only one can't be part of a deadlock.
BATCH = {"sqlite": 500, "postgresql": 1}

# Against a writer outside of the group commit; the thread has a connection of its own.
_WAIT_BRIEFLY = Statement("PRAGMA busy_timeout = 200")

_Key = tuple[Statement, tuple[object, ...]]


@dataclass(eq=False, slots=True)
class _Write:
    """A pending statement; `rows` is the number of rows that it changed, None until it has run."""

    statement: Statement
    parameters: tuple[object, ...]
    rows: int | None = None
    begun_at: float = field(default_factory=time.monotonic)


class DeferredWrites:
    """The pending writes of a process, and the thread that runs them, which ends with the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress = threading.Condition(self._lock)
        self._pending: dict[_Key, _Write] = {}
        self._thread: threading.Thread | None = None
        # Once the fence is locked, or could not be, no request waits for a pending write.
        self._is_late = False
        self._fenced_until = 0.0

    def write(self, statement: Statement, *parameters: object) -> int | None:
        """Return the number of changed rows; None when the write takes longer than PATIENCE_SECONDS, or fails.

        Beyond MAX_PENDING a write is dropped, and the fence stays locked for FORGOTTEN_SECONDS, or half the grace
        period if that is less: the write may be a touch.
        """
        key = (statement, parameters)
        with blocking_io(), self._lock:
            write = None
            if key in self._pending or len(self._pending) < MAX_PENDING:
                write = self._pending.setdefault(key, _Write(*key))
            else:
                half_of_grace = settings.REGISTRY.garbage_collector.grace_period.total_seconds() / 2
                self._fenced_until = time.monotonic() + min(half_of_grace, FORGOTTEN_SECONDS)
            if not self._has_thread() or write is None:
                return None
            self._progress.wait_for(lambda: self._is_late or write.rows is not None, PATIENCE_SECONDS)
            return write.rows

    def _has_thread(self) -> bool:
        """Start the thread unless it runs; False when the system can start none. The caller has the lock."""
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
                if self._has_ended():
                    return
            self._write_behind_fence()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread, self._is_late = None, False
            connections.close_all()

    def _write_behind_fence(self) -> None:
        """Lock the fence until every pending write is done."""
        guard = collection_fence.guard()
        try:
            while True:
                release_connection()
                try:
                    guard.acquire()
                except (OSError, Error) as error:
                    # Reads succeed all the same. The collector may then remove a row before it is touched, and a push
                    # that was told of it has to send it again; what a manifest references is never in danger.
                    report(error)
                with self._lock:
                    self._is_late = True
                    self._progress.notify_all()
                if self._has_written(transactions.PATIENCE_SECONDS) and self._has_ended():
                    return
                time.sleep(RETRY_SECONDS)
        finally:
            guard.release()

    def _has_written(self, patience_seconds: float, longest_seconds: float = inf) -> bool:
        """Run the pending writes; False as soon as one fails, or has been pending for `longest_seconds`."""
        size = BATCH[connection.vendor]
        while True:
            with self._lock:
                batch = list(islice(self._pending.values(), size))
            if not batch:
                release_connection()
                return True
            if time.monotonic() - batch[0].begun_at > longest_seconds:
                return False
            try:
                rows = _run_all(batch, patience_seconds)
            except Exception as error:  # noqa: BLE001 - reported; without this thread nothing would be retried
                report(error)
                transactions.drop_broken_connection(is_suspect=True)
                with self._lock:
                    # Behind the other pending writes.
                    for write in batch:
                        key = (write.statement, write.parameters)
                        self._pending[key] = self._pending.pop(key)
                return False
            with self._lock:
                for write, number in zip(batch, rows, strict=True):
                    del self._pending[write.statement, write.parameters]
                    write.rows = number
                self._progress.notify_all()

    def _has_ended(self) -> bool:
        """Give up the thread's place unless writes are pending or the fence has to stay."""
        with self._lock:
            if self._pending or time.monotonic() < self._fenced_until:
                return False
            self._thread, self._is_late = None, False
            return True


def _run_all(batch: list[_Write], patience_seconds: float) -> list[int]:
    if connection.vendor == "sqlite":
        _WAIT_BRIEFLY.run()
    return transactions.run_once(lambda: [write.statement.run(*write.parameters) for write in batch], patience_seconds)


_writes = DeferredWrites()


def write(statement: Statement, *parameters: object) -> int | None:
    """Return the number of rows that the statement changed, within PATIENCE_SECONDS.

    None means that the database can't be written now; the statement runs as soon as it can. Until then, starting before
    this returns, the fence keeps the collector from removing anything, unless a stuck disk or transaction of the
    collector delays the fence itself. Inside a transaction the statement runs at once, and its errors are raised.
    """
    database = database_of_thread()
    if database.in_atomic_block:
        return statement.run(*parameters)
    # The thread may need the connection.
    release_connection()
    return _writes.write(statement, *parameters)


def _reset_after_fork() -> None:
    """Share nothing with the parent process, which runs its own pending writes."""
    global _writes  # noqa: PLW0603 - one database a process
    _writes = DeferredWrites()


os.register_at_fork(after_in_child=_reset_after_fork)
