"""gunicorn's thread worker, kept from waiting for one client in the loop that serves all of them."""

import logging
import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from registry_project.body_pace import BodyPace

HEADER_SECONDS = 15.0


class Patience:
    """Until when each connection has to have sent the head of its request, and how fast the body comes after it.

    A read of either may wait for READ_SECONDS of `listening`; a byte now and then would hold its thread for ever.
    """

    def __init__(self, seconds: float = HEADER_SECONDS) -> None:
        """Wait for nobody yet."""
        self._seconds = seconds
        self._deadlines: dict[TConn, float] = {}
        self._bodies: dict[TConn, BodyPace] = {}

    def begin(self, conn: TConn) -> None:
        """Wait for the head of a request."""
        self._deadlines[conn] = time.monotonic() + self._seconds

    def go_on(self, conn: TConn) -> None:
        """Watch the body: the head is there."""
        self._deadlines.pop(conn, None)
        parser: Any = conn.parser
        unreader = parser.unreader
        self._bodies[conn] = pace = BodyPace(type(unreader).chunk.__get__(unreader))
        unreader.chunk = pace

    def end(self, conn: TConn) -> None:
        """Wait no longer: the connection is done with."""
        self._deadlines.pop(conn, None)
        self._bodies.pop(conn, None)

    def enforce(self) -> None:
        """End the connections that took too long: what their threads wait for comes as the end of the stream."""
        late = [conn for conn, deadline in list(self._deadlines.items()) if deadline < time.monotonic()]
        slow = [conn for conn, pace in list(self._bodies.items()) if pace.is_too_slow()]
        for conn in (*late, *slow):
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)


class Worker(ThreadWorker):
    """A gthread worker that closes connections in the thread that served them.

    gunicorn 27 does so in its loop and waits up to two seconds for the client to close too: a handful of
    clients that don't would hold up every other, and the heartbeat.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a worker; the arguments are gunicorn's."""
        super().__init__(*args, **kwargs)
        self._patience = Patience()

    def init_process(self) -> None:
        """Start the worker, with the registry's answer to requests that gunicorn can't read."""
        from registry_project.unread import write_error

        # Looked up here by gunicorn, which has no setting for it.
        util.write_error = write_error
        super().init_process()

    def handle(self, conn: TConn) -> Any:
        """Serve the connection once; return what tells the loop to keep it."""
        self._patience.begin(conn)
        try:
            is_kept = super().handle(conn)
        finally:
            self._patience.end(conn)
        if not is_kept:
            conn.close(graceful=True)
            conn.close = _leave_closed  # type: ignore[method-assign]  # the loop would close it again, and fail
        return is_kept

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Serve a request whose head is there; return whether the connection is kept."""
        self._patience.go_on(conn)
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Give the sign of life that gunicorn wants every second or so, and look who takes too long."""
        super().notify()
        self._patience.enforce()


def _leave_closed(graceful: bool = False) -> None:
    """Do nothing: the connection is closed."""


class NoClientFaults(logging.Filter):
    """Keep what clients do wrong out of the log: the answer says it to them.

    gunicorn writes a traceback for each that stood still, and a warning for each that tries TLS first, as podman,
    skopeo and docker do with every command on a registry without it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log `record`."""
        stood_still = record.exc_info is not None and isinstance(record.exc_info[1], BlockingIOError | TimeoutError)
        return not stood_still and not record.getMessage().startswith("Invalid request from ")
