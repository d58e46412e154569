"""Block signals from before the fork of a worker until its handlers are installed.

A forked worker still has the master's handlers, which would put SIGTERM into its copy of the master's queue and lose
it: the master would then wait for the whole `graceful_timeout`.
"""

import signal

from gunicorn.arbiter import Arbiter

_EARLY = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def keep(server: Arbiter) -> None:
    """Make `server` fork workers with these signals blocked, until the worker calls `deliver`."""
    spawn_worker = server.spawn_worker

    def spawn() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, _EARLY)
        try:
            pid: int = spawn_worker()
            return pid
        finally:
            # In the master; and in a worker that ends.
            deliver()

    server.spawn_worker = spawn  # type: ignore[method-assign]


def deliver() -> None:
    """Unblock the signals, which delivers the pending ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _EARLY)
