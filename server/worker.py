"""gunicorn's thread worker, made for many small requests and a few slow clients.

    loop: accepts, every second ends who takes too long ──> pool: threads that serve whoever speaks

gunicorn's own hands each request from its loop to a thread and back.
"""

import ctypes
import errno
import logging
import math
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.db import connections
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

from core import blocking
from core.api.notes import REQUEST_ID
from core.forwarded import listed_in
from core.hourly import Hourly
from server import early_signals
from server.access_log import access_log, request_ids
from server.client import Client
from server.connection import Connection, frozen
from server.exchange import Exchange
from server.listener import LISTENER
from server.open_connections import OpenConnections
from server.pool import CrowdedError, Pool
from server.request_body import AwaitedInput
from server.response import Outgoing

# The client went away.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)

# There is no room for another connection.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 0.1
# How often connections are looked at for those that are quiet.
QUIET_SECONDS = 0.5
# How long the rest of a body that nobody asked for is waited for, all in all.
DROP_SECONDS = 5.0

# From malloc.h.
_M_ARENA_MAX = -8

_SAYS_CONNECTIONS = Hourly()

logger = logging.getLogger(__name__)


def _limit_arenas() -> None:
    """Let the threads of this process share two heaps of glibc's malloc; without glibc nothing happens.

    It makes eight for each core, and what is free in one is of no use to the others: 20 to 30 MiB a process.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


class Worker(ThreadWorker):
    """A gthread worker with a pool and connections of the registry's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a worker; the arguments are gunicorn's."""
        super().__init__(*args, **kwargs)
        self.tpool: Any
        self._settings = frozen(self.cfg)
        self._environ = dict(wsgi.base_environ(self.cfg))
        self._log_access = access_log(settings.REGISTRY.server.access_log)
        self._request_ids: Iterator[str] = iter(())
        self._is_proxy = listed_in(settings.REGISTRY.server.trusted_proxies)
        limits = settings.REGISTRY.server.limits
        self._opened = OpenConnections(self.worker_connections, limits.connections_per_client)
        self._quiet_until = math.inf
        self._looks_at = self._complains_at = self._ends_quiet_at = 0.0

    @property
    def nr_conns(self) -> int:
        """How many connections there are: gunicorn's loop accepts no more than so many, and stops with the last."""
        return self.tpool.size if self.tpool is not None else 0

    @nr_conns.setter
    def nr_conns(self, value: int) -> None:
        """Leave the counting to the pool."""

    def get_thread_pool(self) -> Any:
        """Make the pool: gunicorn's `threads` are what serves at once."""
        server = settings.REGISTRY.server
        pool: Pool[Connection] = Pool(
            self.cfg.threads,
            server.transfers,
            self.handle,
            connections.close_all,
            most=server.limits.transfers_per_client,
        )
        blocking.release_slot_by(pool.lent_to_work)
        return pool

    def init_process(self) -> None:
        """Start the worker, with two functions of the registry's that gunicorn has no settings for."""
        from server.error_response import write_error

        _limit_arenas()
        # Its first argument is what `handle_error` gets as the client.
        util.write_error = write_error  # type: ignore[assignment]
        # Only now: the master made the worker, and would hand out the same to all.
        self._request_ids = request_ids()
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
        peer = Client(client, self._is_proxy)
        if not self._opened.has_room(peer.network, self.nr_conns):
            sock.close()
            _warn_of_connections(peer.network)
            return
        try:
            self.tpool.watch(
                Connection(
                    self._settings,
                    sock,
                    client,
                    listener.getsockname(),
                    self.tpool,
                    peer=peer,
                    opened=self._opened,
                )
            )
        except (OSError, RuntimeError, MemoryError) as error:
            sock.close()
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Say now and then that there is no room, and pause: the listener tells of its queue again at once."""
        if self._complains_at <= time.monotonic():
            self._complains_at = time.monotonic() + 60
            self.log.error("connections have to wait: %s", getattr(error, "strerror", None) or error)
        time.sleep(NO_ROOM_SECONDS)

    def murder_keepalived(self, force: bool = False) -> None:
        """End the connections that were quiet for too long, and the quietest when there are too many.

        gunicorn asks after each event, so for each connection that comes; all of them are looked at now and then.
        """
        if time.monotonic() < self._ends_quiet_at and not force:
            return
        self._ends_quiet_at = time.monotonic() + QUIET_SECONDS
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
        conn.begin()
        exchange = Exchange(conn.sock, conn.client, conn.incoming, next(self._request_ids))
        try:
            is_kept = self._handle(conn, exchange)
        finally:
            if self._log_access is not None:
                self._log_access(exchange)
        is_kept = is_kept and self._is_drained(conn)
        conn.incoming.pace.expect_nothing()
        conn.peer.environ = None
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

    def _handle(self, conn: Connection, exchange: Exchange) -> bool:
        """Serve one request; return whether another one may follow."""
        conn.incoming.expect_head()
        try:
            return self._serve(next(conn.parser), conn, exchange)
        except (NoMoreData, StopIteration):
            pass
        except CrowdedError:
            if not exchange.is_answered:
                _turn_away(exchange)
        except OSError as error:
            if error.errno not in _GONE:
                self.log.exception("Socket error processing request.")
        except (Exception, SystemExit) as error:
            if exchange.is_answered:
                # A second answer would be taken for a part of the first, or for that to the next request.
                self.log.exception("Error handling request")
            else:
                client: Any = exchange
                self.handle_error(exchange.request if exchange.environ else None, client, conn.client, error)
        return False

    def _is_drained(self, conn: Connection) -> bool:
        """Drop what the application left of the body, within bounds; tell whether the next request begins there."""
        until = time.monotonic() + DROP_SECONDS
        is_begun: bool = conn.parser.drop_body(lambda: not self.alive or until <= time.monotonic())
        return is_begun and not conn.incoming.has_ended

    def _serve(self, req: Any, conn: Connection, exchange: Exchange) -> bool:
        """Serve a request whose head is there; return whether the connection is kept."""
        # gunicorn would send 100 Continue at once, whatever the application has to say to the request.
        is_continue_due, req._expected_100_continue = req._expected_100_continue, False  # noqa: SLF001 - has no setting
        resp: Any
        resp, environ = wsgi.create(
            req,
            conn.sock,
            conn.client,
            conn.server,
            conn.cfg,
            response_class=Outgoing,
            response_args=(self.tpool, conn.drain),
        )
        exchange.response, exchange.environ = resp, environ
        conn.peer.environ = environ
        environ[REQUEST_ID] = exchange.request_id
        # SERVER_NAME and SERVER_PORT are the Host header's on a unix socket.
        environ[LISTENER] = conn.server
        is_admitted = _is_for_admitted(environ["PATH_INFO"])
        conn.incoming.expect_body(is_admitted=is_admitted)
        resp.expect_client(is_admitted=is_admitted)
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = _input(req, resp, is_continue_due=is_continue_due)
        self._answer(resp, environ)
        return not resp.should_close()

    def _answer(self, resp: Any, environ: Any) -> None:
        body = self.wsgi(environ, resp.start_response)
        resp.request_id = environ[REQUEST_ID]
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
            elif conn.drain.is_too_slow():
                conn.drain.evict()


def _is_for_admitted(path: str) -> bool:
    """Tell whether a view reads the body only once its client may send it; a login tells first who that is."""
    return path.startswith("/v2/") and path.rstrip("/") != "/v2/token"


def _input(req: Any, resp: Outgoing, *, is_continue_due: bool) -> Any:
    """Return what the application reads the body from."""
    if not is_continue_due or req.body.is_finished:
        return req.body
    resp.expect_100_continue()
    return AwaitedInput(req.body, resp.send_100_continue)


def _warn_of_connections(network: str) -> None:
    if _SAYS_CONNECTIONS.is_due():
        logger.warning(
            "%s has more than its share of the connections that a process takes (server.limits.connections_per_client),"
            " and none that is idle: further ones are closed. If it is a reverse proxy, list it in "
            "server.trusted_proxies; otherwise block it",
            network,
        )


def _turn_away(exchange: Exchange) -> None:
    """Tell a client that nothing was sent to yet that it can't be waited for."""
    from server.error_response import write_busy

    with suppress(OSError):
        write_busy(exchange)


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
