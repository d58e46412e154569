"""Record events: write-behind by a bounded queue and one thread of each process.

    request ──> queue ──> thread: after BATCH_SECONDS, or at BATCH events, one statement ──> table
                  └─ full: dropped, counted and logged         └─ fails: tried again, later each time

A request never waits for the database, and never fails because of it. A process that ends calls `flush`; one that is
killed loses the events of the last BATCH_SECONDS, which the log has.
"""

import logging
import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from django.conf import settings
from django.db import DataError, connections

from audit import rows
from audit.kinds import REFUSALS, Kind
from audit.models import PROCESSES
from core.api.notes import REQUEST_ID, HasMeta
from core.db import transactions
from core.db.database_fault import report
from core.metrics.catalog import AUDIT_DROPPED

BATCH = 500
BATCH_SECONDS = 0.5
# Each takes about a thousand bytes.
MAX_PENDING = 10_000
IDLE_SECONDS = 10.0
"""The thread ends after this time without an event."""

PATIENCE_SECONDS = 5.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.5, 30.0
FLUSH_SECONDS = 5.0
COMPLAINT_SECONDS = 60.0

WINDOW_SECONDS = 60.0
"""Within this time, alike events are one that counts them."""

MOST_DIFFERENT = 100
"""How many different events of a kind one client gets in a window; further ones are counted in one."""

MOST_WINDOW = 5000
"""How many different events are told apart in a window, of all clients; further ones are counted by kind."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Pending:
    """An event that is not written yet, or whose count may still grow."""

    values: rows.Values
    key: int = 0
    count: int = 1
    is_queued: bool = False


class EventQueue:
    """The events of a process, and the thread that writes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._pending: deque[Pending] = deque()
        self._alike: dict[Hashable, Pending] = {}
        self._different: Counter[Hashable] = Counter()
        self._window_ends_at = 0.0
        self._thread: threading.Thread | None = None
        self._is_idle = self._is_flushing = False
        self._process, self._last_microsecond = secrets.randbelow(PROCESSES), 0
        self._dropped, self._complains_at = 0, 0.0

    def add(self, values: rows.Values) -> None:
        """Queue an event."""
        with self._lock:
            self._enqueue(Pending(values))

    def count(self, key: Hashable, client: Hashable, values: rows.Values, detail: Callable[[], str]) -> None:
        """Queue an event unless one with this `key` is in the window: that one counts it.

        `detail` is called for a new event only. A `client` with MOST_DIFFERENT events, or everybody once there are
        MOST_WINDOW, gets one event for all further ones.
        """
        with self._lock:
            if (now := time.monotonic()) > self._window_ends_at:
                self._alike, self._different, self._window_ends_at = {}, Counter(), now + WINDOW_SECONDS
            if self._has_counted(key):
                return
            is_full = len(self._alike) >= MOST_WINDOW
            if is_full or self._different[client] >= MOST_DIFFERENT:
                key = (values.kind,) if is_full else (values.kind, client)
                values, detail = values.summed_up(with_address=not is_full), lambda: "further ones of this minute"
        # Without the lock, since it may take a while.
        values = values._replace(detail=detail())
        with self._lock:
            if not self._has_counted(key):
                self._different[client] += 1
                event = self._alike[key] = Pending(values)
                self._enqueue(event)

    def _has_counted(self, key: Hashable) -> bool:
        event = self._alike.get(key)
        if event is None:
            return False
        event.count += 1
        if not event.is_queued:
            self._enqueue(event)
        return True

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every event is written; False when that takes longer than `seconds`.

        The thread ends and closes its connection: SQLite's log is brought in when the last one is closed.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            if self._pending:
                self._start()
            thread, self._is_flushing = self._thread, True
            self._changed.notify_all()
            is_written = self._changed.wait_for(lambda: not self._pending, seconds)
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._is_flushing = False
        return is_written

    def _enqueue(self, event: Pending) -> None:
        if len(self._pending) >= MAX_PENDING:
            self._drop(1, "the database is not written, or too slow")
            return
        event.key = event.key or self._next_key()
        event.is_queued = True
        self._pending.append(event)
        self._start()
        if self._is_idle or len(self._pending) == BATCH:
            self._is_idle = False
            self._changed.notify_all()

    def _next_key(self) -> int:
        """Return a key that no other event of this process has, whatever the clock does."""
        self._last_microsecond = max(self._last_microsecond + 1, time.time_ns() // 1000)
        return self._last_microsecond * PROCESSES + self._process

    def _start(self) -> None:
        """Start the thread unless it runs; if the system can start none, the next event tries again."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="audit", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._thread = thread

    def _drop(self, count: int, reason: str) -> None:
        AUDIT_DROPPED.add(count)
        self._dropped += count
        if (now := time.monotonic()) >= self._complains_at:
            self._complains_at = now + COMPLAINT_SECONDS
            logger.warning("audit events are dropped: %s", reason, extra={"dropped": self._dropped})
            self._dropped = 0

    def _work(self) -> None:
        retry_seconds = FIRST_RETRY_SECONDS
        try:
            while self._has_events():
                if self.write_batch():
                    retry_seconds = FIRST_RETRY_SECONDS
                    continue
                with self._lock:
                    if not self._changed.wait_for(lambda: self._is_flushing, retry_seconds):
                        retry_seconds = min(2 * retry_seconds, LAST_RETRY_SECONDS)
                        continue
                # The process ends: a few attempts more, within the time of `flush`.
                time.sleep(FIRST_RETRY_SECONDS)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
            connections.close_all()

    def _has_events(self) -> bool:
        """Wait for a batch; False when the thread has been idle, and gave up its place."""
        with self._lock:
            if not self._pending:
                self._is_idle = True
                self._changed.wait_for(lambda: bool(self._pending) or self._is_flushing, IDLE_SECONDS)
                self._is_idle = False
                if not self._pending:
                    self._thread = None
                    return False
            self._changed.wait_for(lambda: len(self._pending) >= BATCH or self._is_flushing, BATCH_SECONDS)
            return True

    def write_batch(self) -> bool:
        """Write the oldest events; False when the database can't be written."""
        with self._lock:
            batch = list(islice(self._pending, BATCH))
            for event in batch:
                # From here on another count is another write of the same row.
                event.is_queued = False
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - reported; without this thread nothing would be written
            report(error)
            transactions.drop_broken_connection(is_suspect=True)
            return False
        with self._lock:
            for _ in batch:
                self._pending.popleft()
            self._changed.notify_all()
        return True

    def _write(self, batch: list[Pending]) -> None:
        left = batch
        while left:
            # An event whose count grew meanwhile may be in the queue twice.
            events = {event.key: event for event in left}
            taken = self._written([(event.key, event.values, event.count) for event in events.values()])
            left = [events[key] for key in taken]
            if left:
                self._redraw(left)
        transactions.release_connection()

    def _written(self, events: list[tuple[int, rows.Values, int]]) -> set[int]:
        """Write events, and return the keys that events of another process have."""
        try:
            return transactions.run_once(lambda: rows.insert(events), PATIENCE_SECONDS)
        except DataError as error:
            report(error)
        taken: set[int] = set()
        for event in events:
            try:
                taken |= transactions.run_once(partial(rows.insert, [event]), PATIENCE_SECONDS)
            except DataError:
                with self._lock:
                    self._drop(1, "the database refuses a value")
        return taken

    def _redraw(self, events: list[Pending]) -> None:
        """Give events other keys, and this process another number: a second one has drawn the same."""
        with self._lock:
            self._process = secrets.randbelow(PROCESSES)
            for event in events:
                event.key = self._next_key()


_queue = EventQueue()


def record(
    kind: Kind,
    request: HasMeta | None,
    *,
    account: str = "",
    credential: str = "",
    repository: str = "",
    reference: str = "",
    digest: str = "",
    detail: str = "",
) -> None:
    """Record an event; `request` is None for a command, `account` empty for anonymous."""
    if settings.REGISTRY.audit.is_enabled:
        _queue.add(
            _values(
                kind,
                request,
                account=account,
                credential=credential,
                repository=repository,
                reference=reference,
                digest=digest,
                detail=detail,
            )
        )


def record_alike(
    kind: Kind,
    request: HasMeta | None,
    *,
    account: str,
    credential: str,
    alike: str,
    detail: Callable[[], str],
    repository: str = "",
) -> None:
    """Record an event, or count it in one of this minute with the same account, address, repository and `alike`."""
    if not settings.REGISTRY.audit.is_enabled:
        return
    values = _values(kind, request, account=account, credential=credential, repository=repository)
    # Who is refused chooses the name of the account.
    client = values.address if kind in REFUSALS else (account, values.address)
    key = (kind, account, values.address, repository, alike)
    _queue.count(key, client, values, detail)


def record_now(kind: Kind, *, credential: str, detail: str, account: str = "", reference: str = "") -> None:
    """Record an event without a client in the transaction of the caller. Raises django.db.Error."""
    if settings.REGISTRY.audit.is_enabled:
        values = _values(kind, None, account=account, credential=credential, reference=reference, detail=detail)
        while rows.insert([(time.time_ns() // 1000 * PROCESSES + secrets.randbelow(PROCESSES), values, 1)]):
            pass


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Write the events of this process, which ends."""
    if not _queue.flush(seconds):
        logger.warning("audit events are lost: the database was not written before the process ended")


def _values(kind: Kind, request: HasMeta | None, **columns: str) -> rows.Values:
    if request is None:
        return rows.Values(kind, **columns)
    address, request_id = request.META.get("REMOTE_ADDR") or "", request.META.get(REQUEST_ID, "")
    return rows.Values(kind, address=address, request_id=request_id, **columns)


def _reset_after_fork() -> None:
    """Share nothing with the parent process, which writes its own events."""
    global _queue  # noqa: PLW0603 - one queue a process
    _queue = EventQueue()


os.register_at_fork(after_in_child=_reset_after_fork)
