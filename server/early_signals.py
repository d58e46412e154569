"""Signals to a worker that can't listen to them yet: to stop, or to reload, which is none of its business.

A forked worker has the master's handlers until it has installed its own, and what these take is lost in its copy of
the master's queue: the master waits for `graceful_timeout`. So the signals are blocked from before the fork, and come
through once the worker has handlers of its own.
"""

import signal

from gunicorn.arbiter import Arbiter

_EARLY = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def keep(server: Arbiter) -> None:
    """Let `server` fork workers with the signals blocked; a worker calls `deliver`."""
    spawn_worker = server.spawn_worker

    def spawn() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, _EARLY)
        try:
            pid: int = spawn_worker()
            return pid
        finally:
            # The worker leaves this function as well, at its end.
            deliver()

    server.spawn_worker = spawn  # type: ignore[method-assign]


def deliver() -> None:
    """Let the signals through, those too that came meanwhile."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _EARLY)
