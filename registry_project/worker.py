"""gunicorn's thread worker, made for many small requests and a few slow clients.

    loop: accepts, every second ends who takes too long ──> pool: threads that serve whoever speaks

gunicorn's own hands each request from its loop to a thread and back.
"""

import errno
import logging
import math
import socket
import time
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread
from gunicorn.workers.gthread import ThreadWorker

from accounts import waiting
from registry_project.connection import Connection, frozen
from registry_project.outgoing import Outgoing
from registry_project.pool import CrowdedError, Pool
from registry_project.request_body import fast_input

# The client went away.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)


class Worker(ThreadWorker):
    """A gthread worker with a pool and connections of the registry's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a worker; the arguments are gunicorn's."""
        super().__init__(*args, **kwargs)
        self._settings = frozen(self.cfg)
        self._environ = dict(wsgi.base_environ(self.cfg))
        self._quiet_until = math.inf

    @property
    def nr_conns(self) -> int:
        """How many connections there are: gunicorn's loop accepts no more than so many, and stops with the last."""
        return len(self.tpool.speakers()) if self.tpool is not None else 0

    @nr_conns.setter
    def nr_conns(self, value: int) -> None:
        """Leave the counting to the pool."""

    def get_thread_pool(self) -> Any:
        """Make the pool: gunicorn's `threads` are what serves at once."""
        pool: Pool[Connection] = Pool(
            self.cfg.threads, settings.REGISTRY.server.transfers, self.handle, connections.close_all
        )
        waiting.lend_by(partial(pool.lent, is_refusable=False))
        return pool

    def init_process(self) -> None:
        """Start the worker, with two functions of the registry's that gunicorn has no settings for."""
        from registry_project.unread import write_error

        util.write_error = write_error
        wsgi.base_environ = lambda cfg: self._environ.copy()  # noqa: ARG005 - gunicorn's signature
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it takes a thread once it speaks."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.tpool.watch(Connection(self._settings, sock, client, listener.getsockname(), self.tpool))

    def murder_keepalived(self, force: bool = False) -> None:
        """End the connections that were quiet for too long, and the quietest when there are too many."""
        quiet = sorted((since, conn) for conn in self.tpool.speakers() if (since := conn.quiet_since) is not None)
        now = time.monotonic()
        spare = len(quiet) // 4 if self.nr_conns >= self.worker_connections else 0
        for position, (since, conn) in enumerate(quiet):
            if force or now >= min(since + self.cfg.keepalive, self._quiet_until) or position < spare:
                conn.end()

    def _cap_keepalive(self, deadline: float) -> None:
        self._quiet_until = deadline

    def handle(self, conn: Any) -> bool:
        """Serve a connection that has spoken; return whether to listen for its next request."""
        conn.quiet_since = None
        is_kept = self._handle(conn)
        # What came with the last request does not make the socket readable again.
        while is_kept and conn.incoming.is_ahead:
            is_kept = self._handle(conn)
        conn.incoming.pace.expect_nothing()
        conn.quiet_since = time.monotonic()
        if not is_kept:
            self._close(conn)
        return is_kept

    def _close(self, conn: Connection) -> None:
        try:
            conn.close()
        except Exception:
            self.log.exception("a connection could not be closed")

    def _handle(self, conn: Connection) -> bool:
        """Serve one request; return whether another one may follow."""
        req = None
        conn.incoming.pace.expect_head()
        try:
            req = next(conn.parser)
            return self.handle_request(req, conn) and conn.parser.finish_body(_drain_until())
        except (NoMoreData, StopIteration):
            pass
        except OSError as error:
            if error.errno not in _GONE:
                self.log.exception("Socket error processing request.")
        except Exception as error:  # noqa: BLE001 - gunicorn answers it, and logs what is not the client's fault
            self.handle_error(req, conn.sock, conn.client, error)
        return False

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Serve a request whose head is there; return whether the connection is kept."""
        conn.incoming.pace.expect_body()
        resp: Any
        resp, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, conn.cfg, response_class=Outgoing, response_args=(self.tpool,)
        )
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = fast_input(req.body, conn.incoming) or req.body
        if not self.alive:
            resp.force_close()
        try:
            self._answer(resp, environ)
        except OSError:
            raise
        except Exception:
            if not resp.headers_sent:
                raise
            # An error page behind the beginning of an answer would be taken for a part of it.
            self.log.exception("Error handling request")
            return False
        return not resp.should_close()

    def _answer(self, resp: Any, environ: Any) -> None:
        body = self.wsgi(environ, resp.start_response)
        try:
            if isinstance(body, wsgi.FileWrapper):
                resp.write_file(body)
            else:
                for piece in body:
                    resp.write(piece)
            resp.close()
        finally:
            if hasattr(body, "close"):
                body.close()

    def notify(self) -> None:
        """Give the sign of life that gunicorn wants every second or so, and end whoever takes too long."""
        super().notify()
        for conn in self.tpool.speakers():
            if conn.incoming.pace.is_too_slow():
                conn.end()


def _drain_until() -> float:
    """Return until when the rest of a body is waited for, in seconds of the monotonic clock."""
    return time.monotonic() + gthread.DEFAULT_WORKER_DATA_TIMEOUT


class NoClientFaults(logging.Filter):
    """Keep what clients do wrong out of the log: the answer says it to them.

    gunicorn writes a traceback for each that stood still, and a warning for each that tries TLS first, as podman,
    skopeo and docker do with every command on a registry without it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log `record`."""
        error = record.exc_info[1] if record.exc_info is not None else None
        stood_still = isinstance(error, BlockingIOError | TimeoutError | CrowdedError)
        return not stood_still and not record.getMessage().startswith("Invalid request from ")
