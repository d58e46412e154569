"""A thread in each worker of the server, which starts a process for what is due.

A child that gunicorn's master forked would never be restarted when it dies; a worker is. Which worker's
process does a job is decided by the lease, not here.
"""

import logging
import random
import subprocess
import threading
from collections.abc import Callable, Sequence
from weakref import WeakSet

from django.db import Error, connection

from collector.jobs import due
from core.db import database_fault

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0

_started: "WeakSet[Background]" = WeakSet()


def call() -> None:
    """Let this process look now for what is due; where no worker serves, `runjobs` finds it within its interval."""
    for background in list(_started):
        background.call()


class Background:
    """Runs `command` whenever something is due, one at a time, until it is stopped."""

    def __init__(
        self,
        command: Sequence[str],
        interval_seconds: float = due.INTERVAL_SECONDS,
        at_start: Callable[[], None] = lambda: None,
    ) -> None:
        """Start nothing yet; `at_start` is called once, in the thread that starts the processes."""
        self._at_start = at_start
        self._command = command
        self._interval = interval_seconds
        self._is_over = threading.Event()
        self._is_called = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look for what is due every interval, in a thread that keeps no process from ending."""
        _started.add(self)
        threading.Thread(target=self._look_again_and_again, name="jobs", daemon=True).start()

    def call(self) -> None:
        """Look for what is due now, or right after the job that is at work."""
        self._is_called.set()

    def stop(self) -> None:
        """Tell a running job to stop, and wait a little until it did."""
        with self._lock:
            self._is_over.set()
            self._is_called.set()
            child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    def _look_again_and_again(self) -> None:
        self._at_start()
        # Workers that were started together look at different moments.
        pause = self._interval * random.random()  # noqa: S311 - spreads contenders, hides nothing
        while not self._is_over.is_set():
            if self._is_called.wait(pause):
                self._is_called.clear()
            pause = self._interval
            if not self._is_over.is_set() and self._is_anything_due():
                self._run()

    def _is_anything_due(self) -> bool:
        try:
            return due.is_anything_due()
        except Error as error:  # the database may be away for a while; this thread outlives that
            database_fault.report(error)
            return False
        except Exception:  # as above
            logger.warning("could not look for jobs", exc_info=True)
            return False
        finally:
            connection.close()

    def _run(self) -> None:
        with self._lock:
            if self._is_over.is_set():
                return
            try:
                self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # noqa: S603 - the project's own
            except OSError as error:
                # No memory or no process to be had just now: what is due is found again after the next interval.
                logger.warning("could not start jobs", extra={"reason": error.strerror})
                return
        status = self._child.wait()
        with self._lock:
            self._child = None
        # With FAILED the process has said what failed; one that was killed says nothing.
        if status not in (0, due.FAILED):
            logger.warning("jobs ended with an error", extra={"status": status})
