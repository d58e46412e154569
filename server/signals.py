"""Signals of the master and its workers: a drain at SIGTERM, and signals from before a worker's handlers.

    SIGTERM ──> master: a flag in shared memory ──> workers: /readyz answers 503, everything else goes on
                  └─ server.drain later, or at a second SIGTERM ──> gunicorn's graceful stop

A forked worker still has the master's handlers, which would put SIGTERM into its copy of the master's queue and lose
it: the master would then wait for the whole `graceful_timeout`. So they are blocked until its own are installed.
"""

import atexit
import logging
import mmap
import signal
from datetime import timedelta

from gunicorn.arbiter import Arbiter

_EARLY = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

logger = logging.getLogger(__name__)

# Shared by the master with the workers that it forks, also with those that it forks during a drain.
_draining = mmap.mmap(-1, 1)


def is_draining() -> bool:
    """Tell whether the server was told to stop."""
    return _draining[0] != 0


def drain_at_sigterm(server: Arbiter, duration: timedelta) -> None:
    """Make SIGTERM begin a drain of that duration; with a duration of 0, gunicorn stops at once."""
    if not duration:
        return
    stop = server.handle_term

    def handle_term() -> None:
        if is_draining():
            stop()
        _draining[0] = 1
        logger.info("draining: /readyz answers 503 for %g s, then the server stops", duration.total_seconds())
        # In place of the watch of the configuration: this server imports nothing more.
        server.handle_hup = lambda: None  # type: ignore[method-assign]
        server.handle_alrm = stop  # type: ignore[attr-defined]  # gunicorn looks for it by the name of the signal
        signal.signal(signal.SIGALRM, server.signal)
        signal.setitimer(signal.ITIMER_REAL, duration.total_seconds())

    server.handle_term = handle_term  # type: ignore[method-assign]
    # At exit Python removes its handlers first, and a late signal would kill the process.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


def keep_early(server: Arbiter) -> None:
    """Make `server` fork workers with these signals blocked, until the worker calls `deliver_early`."""
    spawn_worker = server.spawn_worker

    def spawn() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, _EARLY)
        try:
            pid: int = spawn_worker()
            return pid
        finally:
            # In the master; and in a worker that ends.
            deliver_early()

    server.spawn_worker = spawn  # type: ignore[method-assign]


def deliver_early() -> None:
    """Unblock the signals, which delivers the pending ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _EARLY)
