"""A circuit breaker for the requests of one client of S3.

    closed      every request is sent
    open        after FAILURES attempts in a row without an answer: requests fail at once, for OPEN_SECONDS
    half-open   one request at a time is sent; an answer closes the circuit, none opens it again

It also bounds the requests that wait for an answer at once: the first timeout of a silent S3 comes after READ_SECONDS,
and until then each request would take a thread. Any answer, even a refusal, says that S3 is there.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore import exceptions

from core.metrics.catalog import STORAGE_REFUSED

logger = logging.getLogger(__name__)

FAILURES = 5
OPEN_SECONDS = 5.0
# Longer than the timeout of a request without a body.
TRY_SECONDS = 60.0
NO_ANSWER = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)


class NotSentError(exceptions.BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """The circuit is open, or too many requests wait already."""

    fmt = "{reason}"


class CircuitBreaker:
    """The state of the circuit, for all threads; `most_waiting` requests wait for an answer at once."""

    def __init__(self, most_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_waiting, self._clock = most_waiting, clock
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._failures = 0
        # None: closed.
        self._tries_again_at: float | None = None
        # The thread of the one request of the half-open circuit.
        self._trying: int | None = None

    def watch(self, client: Any) -> None:
        """Let each attempt of a client of botocore pass here, before it is sent and after it has ended."""
        client.meta.events.register("before-send.s3", self._before_send)
        client.meta.events.register("needs-retry.s3", self._after_attempt)
        client.meta.events.register("after-call-error.s3", self._after_error)

    def _before_send(self, **_event: Any) -> None:
        self.admit()

    def _after_attempt(self, caught_exception: Exception | None = None, **_event: Any) -> None:
        if not isinstance(caught_exception, NotSentError):
            self.settle(is_answered=not isinstance(caught_exception, NO_ANSWER))

    def _after_error(self, exception: Exception, **_event: Any) -> None:
        """Settle what has no `needs-retry`: an answer that botocore can't parse."""
        with self._lock:
            is_waiting = threading.get_ident() in self._waiting
        if is_waiting:
            self.settle(is_answered=not isinstance(exception, NO_ANSWER))

    def admit(self) -> None:
        """Let the calling thread send a request, which `settle` ends. Raises NotSentError."""
        thread = threading.get_ident()
        with self._lock:
            reason = self._refusal(thread)
            if not reason:
                self._waiting.add(thread)
                return
        STORAGE_REFUSED.add()
        raise NotSentError(reason=reason)

    def _refusal(self, thread: int) -> str:
        """Return why the request is not sent, "" if it is; needs the lock."""
        if self._tries_again_at is not None:
            if self._clock() < self._tries_again_at:
                return "it gave no answer, and is tried again in some seconds"
            # A thread that ends without settling must not leave the circuit open.
            self._trying, self._tries_again_at = thread, self._clock() + TRY_SECONDS
        elif len(self._waiting) >= self._most_waiting:
            return f"{self._most_waiting} requests wait for it already"
        return ""

    def settle(self, *, is_answered: bool) -> None:
        """Count what became of the request of the calling thread."""
        thread = threading.get_ident()
        with self._lock:
            self._waiting.discard(thread)
            was_open, was_trying = self._tries_again_at is not None, self._trying == thread
            if was_trying:
                self._trying = None
            self._failures = 0 if is_answered else self._failures + 1
            if is_answered:
                self._tries_again_at = None
            elif was_trying or (not was_open and self._failures >= FAILURES):
                self._tries_again_at = self._clock() + OPEN_SECONDS
        if was_open and is_answered:
            logger.warning("S3 answers again")
        elif not was_open and not is_answered and self._failures == FAILURES:
            logger.error("S3 gave no answer %d times in a row: requests fail at once until it does", FAILURES)
