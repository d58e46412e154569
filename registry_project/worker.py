"""gunicorn's thread worker, made for many small requests and a few slow clients.

    loop: accepts, every second ends who takes too long ──> pool: threads that serve whoever speaks

gunicorn's own hands each request from its loop to a thread and back.
"""

import errno
import logging
import math
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.db import connections
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread
from gunicorn.workers.gthread import ThreadWorker

from accounts import waiting
from registry_project import early_signals
from registry_project.connection import Connection, frozen
from registry_project.outgoing import Outgoing
from registry_project.pool import CrowdedError, Pool, Wait
from registry_project.request_body import fast_input

# The client went away.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)

# There is no room for another connection.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 0.1


class Worker(ThreadWorker):
    """A gthread worker with a pool and connections of the registry's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a worker; the arguments are gunicorn's."""
        super().__init__(*args, **kwargs)
        self.tpool: Any
        self._settings = frozen(self.cfg)
        self._environ = dict(wsgi.base_environ(self.cfg))
        self._quiet_until = math.inf
        self._looks_at = self._complains_at = 0.0

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
        waiting.lend_by(partial(pool.lent, Wait.WORK))
        return pool

    def init_process(self) -> None:
        """Start the worker, with two functions of the registry's that gunicorn has no settings for."""
        from registry_project.unread import write_error

        util.write_error = write_error
        wsgi.base_environ = lambda cfg: self._environ.copy()  # noqa: ARG005 - gunicorn's signature
        super().init_process()

    def init_signals(self) -> None:
        """Install the worker's handlers, and hear the signals that came before."""
        super().init_signals()
        # `systemctl kill -s HUP` sends it to every process of the service, and only the master reloads.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        early_signals.deliver()

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Take connections, or take none; a worker that stops closes its door at once.

        gunicorn leaves it open until the last upload has ended, to clients that nobody will serve: refused, they go
        to another replica.
        """
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; it takes a thread once it speaks."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            # A client's fault on the way comes here too, and no fault of one ends the worker.
            if error.errno in _NO_ROOM:
                self._complain(error)
            return
        self.tpool.watch(Connection(self._settings, sock, client, listener.getsockname(), self.tpool))

    def _complain(self, error: OSError) -> None:
        """Say now and then that there is no room, and pause: the listener tells of its queue again at once."""
        if self._complains_at <= time.monotonic():
            self._complains_at = time.monotonic() + 60
            self.log.error("connections have to wait: %s", error.strerror)
        time.sleep(NO_ROOM_SECONDS)

    def murder_keepalived(self, force: bool = False) -> None:
        """End the connections that were quiet for too long, and the quietest when there are too many."""
        speakers = self.tpool.speakers()
        quiet = [(since, conn) for conn in speakers if (since := conn.quiet_since) is not None]
        quiet.sort(key=itemgetter(0))
        now = time.monotonic()
        spare = len(quiet) // 4 if self.nr_conns >= self.worker_connections else 0
        for position, (since, conn) in enumerate(quiet):
            if force or now >= min(since + self.cfg.keepalive, self._quiet_until) or position < spare:
                conn.end_quiet()

    def _cap_keepalive(self, deadline: float) -> None:
        self._quiet_until = deadline

    def handle(self, conn: Any) -> bool:
        """Serve one request of a connection that has spoken; return whether to listen for its next one.

        What came with it is for the next turn: a client that never stops asking would keep the thread for ever.
        """
        if conn.ends_at is not None:
            return self._is_ending(conn, is_over=conn.drop())
        conn.quiet_since = None
        is_kept = self._handle(conn)
        conn.incoming.pace.expect_nothing()
        if not is_kept:
            return self._is_ending(conn, is_over=conn.end())
        conn.quiet_since = time.monotonic()
        return True

    def _is_ending(self, conn: Connection, *, is_over: bool) -> bool:
        """Close the connection if it is over; return whether its end is still waited for."""
        if is_over or conn.is_late(time.monotonic()):
            conn.close()
            return False
        return True

    def _handle(self, conn: Connection) -> bool:
        """Serve one request; return whether another one may follow."""
        req = None
        conn.incoming.expect_head()
        try:
            req = next(conn.parser)
            return self.handle_request(req, conn) and conn.parser.finish_body(_drain_until())
        except (NoMoreData, StopIteration):
            pass
        except CrowdedError:
            _turn_away(conn.sock)
        except OSError as error:
            if error.errno not in _GONE:
                self.log.exception("Socket error processing request.")
        except Exception as error:  # noqa: BLE001 - gunicorn answers it, and logs what is not the client's fault
            self.handle_error(req, conn.sock, conn.client, error)
        return False

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Serve a request whose head is there; return whether the connection is kept."""
        # gunicorn's own way of saying that the body may come keeps the thread while the client takes nothing.
        is_invited, req._expected_100_continue = req._expected_100_continue, False  # noqa: SLF001 - has no setting
        resp: Any
        resp, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, conn.cfg, response_class=Outgoing, response_args=(self.tpool,)
        )
        is_admitted = _is_for_admitted(environ["PATH_INFO"])
        conn.incoming.expect_body(is_admitted=is_admitted)
        resp.expect_client(is_admitted=is_admitted)
        if is_invited:
            resp.invite()
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = fast_input(req.body, conn.incoming) or req.body
        try:
            self._answer(resp, environ)
        except CrowdedError:
            if not resp.has_begun:
                raise
            return False
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
        if not self.alive:
            resp.force_close()
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
        now = time.monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + 1
        for conn in self.tpool.speakers():
            if conn.is_late(now):
                conn.cut()


def _is_for_admitted(path: str) -> bool:
    """Tell whether a view reads the body only once its client may send it; a login tells first who that is."""
    return path.startswith("/v2/") and path.rstrip("/") != "/v2/token"


def _drain_until() -> float:
    """Return until when the rest of a body is waited for, in seconds of the monotonic clock."""
    return time.monotonic() + gthread.DEFAULT_WORKER_DATA_TIMEOUT


def _turn_away(sock: socket.socket) -> None:
    """Tell a client that nothing was sent to yet that it can't be waited for."""
    from registry_project.unread import write_busy

    with suppress(OSError):
        write_busy(sock)


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
