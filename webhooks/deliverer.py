"""The deliverer: one loop in one process sends what is due, a few requests of each webhook at once.

    due rows ──> a thread for each request, PER_WEBHOOK at most ──> results ──> one transaction ──> next rows

The loop alone uses the database. The result of a delivery is written before the next one of its repository begins: so
after a crash nothing is lost, and at most the deliveries on their way are sent again.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from django.db import Error, connections

from core.api.errors import RegistryError
from core.db import clock, database_fault, transactions
from core.failpoints import failpoint
from webhooks import pulls, queue
from webhooks.lease import Lease
from webhooks.models import Delivery, Webhook
from webhooks.post import TOTAL_SECONDS, Attempt
from webhooks.queue import Result

PER_WEBHOOK, IN_ALL = 4, 32
POLL_SECONDS = 0.5
IDLE_SECONDS = 5.0
"""The interval without a webhook, and of processes that wait for the lease."""

TIDY_SECONDS = 60.0
FAULT_SECONDS = 2.0
READY = 200
"""Deliveries of a webhook that are read at once."""

logger = logging.getLogger(__name__)


class Deliverer:
    """Delivers while it has the lease, until it is closed."""

    def __init__(self) -> None:
        self._lease = Lease()
        self._hooks: dict[int, Webhook] = {}
        self._ready: dict[int, deque[Delivery]] = {}
        self._attempts: dict[tuple[int, str], Attempt] = {}
        self._left: set[tuple[int, str]] | None = None
        """What failed in the one round that `run_once` makes, which doesn't try it again."""

        self._results: SimpleQueue[Result | None] = SimpleQueue()
        self._is_closed = False
        self._looks_at = self._tidies_at = 0.0
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        """Deliver in a thread of its own from now on."""
        self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Begin no delivery any more, and wait a while for those on their way."""
        self._is_closed = True
        self._results.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def run_once(self) -> bool:
        """Deliver what is due; False if another process delivers. Raises RegistryError, Error.

        A failure leaves its repository for the next round, however soon it is due: so the round ends.
        """
        if not self._lease.holds(TOTAL_SECONDS):
            return False
        self._left = set()
        try:
            while self._step():
                pass
        finally:
            self._lease.release()
        return True

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Deliver until `is_over`; faults of the database are waited for."""
        while not is_over():
            try:
                self._step()
            except (Error, RegistryError) as error:
                self._wait_for_database(error)
            except Exception:  # the next step tries again
                logger.exception("events can't be delivered")
                self._pause(FAULT_SECONDS)

    def _work(self) -> None:
        self.run_until(lambda: self._is_closed)
        try:
            self.end()
        except (Error, RegistryError) as error:
            self._wait_for_database(error)
        finally:
            connections.close_all()

    def end(self) -> None:
        """Write the results that come soon, and leave the lease to another process. Raises RegistryError, Error."""
        ends_at = time.monotonic() + 3.0
        while self._attempts and time.monotonic() < ends_at:
            self._collect(0.1)
        pulls.store()
        self._lease.release()

    def _step(self) -> bool:
        """Begin what is due and write results; tell whether anything was on its way. Raises RegistryError, Error."""
        pulls.store()
        self._look()
        if self._may_begin():
            for hook in self._hooks.values():
                self._begin(hook)
        # Asked before results come, which may have made the next ones ready.
        is_busy = bool(self._attempts)
        transactions.release_connection()
        for attempt in list(self._attempts.values()):
            attempt.abort_if_late()
        # With the lease, `_ready` has an entry for each webhook.
        self._collect(POLL_SECONDS if self._attempts or self._ready else IDLE_SECONDS)
        return is_busy

    def _may_begin(self) -> bool:
        # Without a webhook nobody needs the lease.
        return bool(self._hooks) and self._lease.holds(TOTAL_SECONDS)

    def _look(self) -> None:
        """Read webhooks and what is due, unless that was done a moment ago."""
        now = time.monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + POLL_SECONDS
        self._hooks = queue.active()
        self._ready = {}
        if self._may_begin():
            # What is on its way would otherwise be begun again once it has ended.
            out = self._attempts.keys() | (self._left or set())
            for pk, hook in self._hooks.items():
                found = queue.due(hook, READY + PER_WEBHOOK)
                self._ready[pk] = deque(row for row in found if (pk, row.repository) not in out)
        if now >= self._tidies_at and self._ready:
            self._tidies_at = now + TIDY_SECONDS
            queue.tidy()

    def _begin(self, hook: Webhook) -> None:
        """Begin deliveries of a webhook."""
        of_hook = Counter(pk for pk, _ in self._attempts)[hook.pk]
        state = queue.state_of(hook)
        most = 1 if state is not None and state.failing_since is not None else PER_WEBHOOK
        begun, ready = 0, self._ready.get(hook.pk, deque())
        if most == 1 and of_hook:
            # A failing webhook is probed: what is due is read again then.
            ready.clear()
        while ready and of_hook + begun < most and len(self._attempts) < IN_ALL:
            delivery = ready.popleft()
            place = (hook.pk, delivery.repository)
            if place in self._attempts:
                continue
            attempt = self._attempts[place] = Attempt(hook, delivery, clock.now())
            threading.Thread(target=self._send, args=(attempt,), name="webhook", daemon=True).start()
            begun += 1

    def _send(self, attempt: Attempt) -> None:
        result = attempt.run()
        failpoint("webhook.after_response")
        self._results.put(result)

    def _collect(self, seconds: float) -> None:
        """Wait for a result, and write it with all others that are there."""
        results = []
        try:
            results.append(self._results.get(timeout=seconds))
            while True:
                results.append(self._results.get_nowait())
        except Empty:
            pass
        ended = [result for result in results if result is not None]
        if not ended:
            return
        try:
            queue.record(ended)
        finally:
            # What can't be written is sent again.
            for result in ended:
                self._attempts.pop((result.delivery.webhook_id, result.delivery.repository), None)
        failpoint("webhook.after_record")
        failed = {(row.delivery.webhook_id, row.delivery.repository) for row in ended if not row.is_delivered}
        if failed:
            self._hooks = queue.active()
        if self._left is not None:
            self._left |= failed
        for result in ended:
            following = queue.following(result.delivery) if result.is_delivered else None
            if following is not None:
                self._ready.setdefault(following.webhook_id, deque()).append(following)

    def _wait_for_database(self, error: Exception) -> None:
        cause = error if isinstance(error, Error) else error.__cause__
        if isinstance(cause, Error):
            database_fault.report(cause)
        transactions.drop_broken_connection(is_suspect=True)
        self._pause(FAULT_SECONDS)

    def _pause(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while not self._is_closed and time.monotonic() < ends_at:
            time.sleep(0.1)
