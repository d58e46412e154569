"""gunicorn's thread worker, kept from waiting for one client in the loop that serves all of them."""

import logging
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker


class Worker(ThreadWorker):
    """A gthread worker that closes connections in the thread that served them.

    gunicorn 27 does so in its loop and waits up to two seconds for the client to close too: a handful of
    clients that don't would hold up every other, and the heartbeat.
    """

    def init_process(self) -> None:
        """Start the worker, with the registry's answer to requests that gunicorn can't read."""
        from registry_project.unread import write_error

        # Looked up here by gunicorn, which has no setting for it.
        util.write_error = write_error
        super().init_process()

    def handle(self, conn: TConn) -> Any:
        """Serve the connection once; return what tells the loop to keep it."""
        is_kept = super().handle(conn)
        if not is_kept:
            conn.close(graceful=True)
            conn.close = _leave_closed  # type: ignore[method-assign]  # the loop would close it again, and fail
        return is_kept


def _leave_closed(graceful: bool = False) -> None:
    """Do nothing: the connection is closed."""


class NoStandstill(logging.Filter):
    """Keep clients that stood still out of the log: gunicorn writes a traceback for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log `record`."""
        return record.exc_info is None or not isinstance(record.exc_info[1], BlockingIOError | TimeoutError)
