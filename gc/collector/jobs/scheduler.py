"""A thread in each worker of the server, which starts a process when a job is due.

Gunicorn restarts a worker that dies, but no other child of its master. The lease decides which worker's process does
a job.
"""

import logging
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from weakref import WeakSet

from django.db import Error, connection

from collector.jobs import due
from core.db import database_fault
from core.metrics.catalog import JOBS

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0

_running: "WeakSet[Scheduler]" = WeakSet()


def wake() -> None:
    """Look for due jobs now; in a process without a worker `runjobs` finds them within its interval."""
    for scheduler in list(_running):
        scheduler.wakeup.set()


class Scheduler:
    """Runs `command` whenever a job is due, one process at a time, until it is stopped."""

    def __init__(
        self,
        command: Sequence[str],
        interval_seconds: float = due.INTERVAL_SECONDS,
        at_start: Callable[[], None] = lambda: None,
    ) -> None:
        """`at_start` is called once, in the thread that starts the processes."""
        self._at_start = at_start
        self._command = command
        self._interval = interval_seconds
        self._is_stopped = threading.Event()
        self.wakeup = threading.Event()
        """Set to look for due jobs now, or right after the running process."""
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Look for due jobs every interval, in a daemon thread."""
        _running.add(self)
        threading.Thread(target=self._poll, name="jobs", daemon=True).start()

    def stop(self) -> None:
        """Send SIGTERM to a running process, and SIGKILL after STOP_SECONDS."""
        with self._lock:
            self._is_stopped.set()
            self.wakeup.set()
            child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    def _poll(self) -> None:
        self._at_start()
        # Workers that started together look at different times.
        pause = self._interval * random.random()  # noqa: S311 - jitter, not a secret
        while not self._is_stopped.is_set():
            if self.wakeup.wait(pause):
                self.wakeup.clear()
            pause = self._interval
            if not self._is_stopped.is_set() and self._is_anything_due():
                self._run()

    def _is_anything_due(self) -> bool:
        try:
            return due.is_anything_due()
        except Error as error:  # the thread survives a database that is unavailable
            database_fault.report(error)
            return False
        except Exception:  # as above
            logger.warning("could not look for jobs", exc_info=True)
            return False
        finally:
            connection.close()

    def _run(self) -> None:
        with self._lock:
            if self._is_stopped.is_set():
                return
            try:
                self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # noqa: S603 - the project's own
            except OSError as error:
                # Out of memory or processes: the next interval tries again.
                logger.warning("could not start jobs", extra={"reason": error.strerror})
                return
        status = self._child.wait()
        with self._lock:
            self._child = None
        # A process that exits with FAILED has logged why; a killed one has not. One that SIGTERM ended was told to
        # stop, by `stop` or with the whole service, before it had a handler or after: with one it exits with 0.
        if status not in (0, due.FAILED, -signal.SIGTERM):
            JOBS.labels("process", "failed").add()
            logger.warning("jobs ended with an error", extra={"status": status})
