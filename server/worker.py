"""A gunicorn worker for many small requests and a few slow clients.

    main thread: accepts, and every second aborts slow connections ──> pool: threads wait on epoll and serve

gunicorn's own gthread worker hands each request from its main thread to a pool thread and back.
"""

import ctypes
import errno
import logging
import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import Any

from django.conf import settings
from django.db import connections as database_connections
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import ThreadWorker

from core import blocking
from core.api.notes import DRAINING, REQUEST_ID
from core.forwarded import listed_in
from core.hourly import Hourly
from core.json_log import log_for
from core.metrics import steps
from server import signals
from server.access_log import access_log, request_ids
from server.connection import Connection, frozen
from server.exchange import Exchange
from server.listener import LISTENER
from server.open_connections import OpenConnections
from server.places import Client
from server.pool import CrowdedError, Pool, Wait
from server.request_body import NO_BODY, AwaitedDecoder, BodyInput
from server.response import RegistryResponse

# The client closed the connection.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)

# The process or the system has no descriptor or memory for another connection.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 0.1
# How often the keepalive timeout is checked.
IDLE_CHECK_SECONDS = 0.5
# How long to wait in total for the unread rest of a body.
DISCARD_SECONDS = 5.0

# From malloc.h.
_M_ARENA_MAX = -8

_WARNS_CONNECTIONS = Hourly()

logger = logging.getLogger(__name__)


class Worker(ThreadWorker):
    """The gthread worker with the registry's own pool and connections; README.md says why."""

    trace: Callable[[Exchange], None] | None = None
    """Exports the span of an exchange; None means that there are no traces."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tpool: Any
        self._settings = frozen(self.cfg)
        self._environ = dict(wsgi.base_environ(self.cfg))
        self._log_access = access_log(settings.REGISTRY.server.access_log)
        self._request_ids: Iterator[str] = iter(())
        self._is_proxy = listed_in(settings.REGISTRY.server.trusted_proxies)
        limits = settings.REGISTRY.server.limits
        self._opened = OpenConnections(self.worker_connections, limits.connections_per_client)
        self._keepalive_deadline = math.inf
        self._next_rate_check = self._next_complaint = self._next_idle_check = 0.0

    @property
    def nr_conns(self) -> int:
        """The number of open connections, by which gunicorn's loop stops to accept, and ends."""
        return self.tpool.size if self.tpool is not None else 0

    @nr_conns.setter
    def nr_conns(self, value: int) -> None:
        """Ignore what gunicorn counts: the pool knows."""

    def get_thread_pool(self) -> Any:
        """Return the pool, with gunicorn's `threads` as slots."""
        server = settings.REGISTRY.server
        pool: Pool[Connection] = Pool(
            self.cfg.threads,
            server.max_slow_clients,
            self.handle,
            database_connections.close_all,
            most=server.limits.transfers_per_client,
        )
        blocking.release_slot_by(pool.releases_slot_for_work)
        return pool

    def init_process(self) -> None:
        """Start the worker; replace two functions that gunicorn has no setting for."""
        from server.error_response import write_error

        # glibc makes eight heaps for each core, and memory that is free in one is lost to the others: 20 to 30 MiB.
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
        # gunicorn passes on the second argument of `handle_error`, here an Exchange.
        util.write_error = write_error  # type: ignore[assignment]
        # After the fork, otherwise all workers give out the same ids.
        self._request_ids = request_ids()
        wsgi.base_environ = lambda cfg: self._environ.copy()  # noqa: ARG005 - gunicorn's signature
        super().init_process()

    def init_signals(self) -> None:
        """Install the signal handlers, and unblock the signals that came before."""
        super().init_signals()
        # `systemctl kill -s HUP` signals every process of the service; only the master reloads.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signals.deliver_early()

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Start or stop to accept; a worker that stops closes its listeners at once.

        gunicorn keeps them open until the last upload ends, so new clients would wait in vain. Refused, they try
        another replica.
        """
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; it takes a thread once a request arrives."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            # A network error of the client comes here too, and must not end the worker.
            if error.errno in _NO_ROOM:
                self._complain(error)
            return
        peer = Client(client, self._is_proxy)
        if not self._opened.has_room(peer.network, self.nr_conns):
            sock.close()
            if _WARNS_CONNECTIONS.is_due():
                logger.warning(
                    "%s has more than its share of the connections that a process takes "
                    "(server.limits.connections_per_client), and none that is idle: further ones are closed. If it is "
                    "a reverse proxy, list it in server.trusted_proxies; otherwise block it",
                    peer.network,
                )
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
        """Log an error at most once a minute, and pause: the listener stays readable."""
        if self._next_complaint <= time.monotonic():
            self._next_complaint = time.monotonic() + 60
            self.log.error("connections have to wait: %s", getattr(error, "strerror", None) or error)
        time.sleep(NO_ROOM_SECONDS)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections beyond the keepalive timeout, and a quarter of the idle ones if the worker is full.

        gunicorn calls this after each event; a look at every connection is due twice a second.
        """
        if time.monotonic() < self._next_idle_check and not force:
            return
        self._next_idle_check = time.monotonic() + IDLE_CHECK_SECONDS
        idle = [(since, conn) for conn in self.tpool.connections() if (since := conn.idle_since) is not None]
        idle.sort(key=itemgetter(0))
        now = time.monotonic()
        spare = len(idle) // 4 if self.nr_conns >= self.worker_connections else 0
        for position, (since, conn) in enumerate(idle):
            if force or now >= min(since + self.cfg.keepalive, self._keepalive_deadline) or position < spare:
                conn.close_idle()

    def _cap_keepalive(self, deadline: float) -> None:
        self._keepalive_deadline = deadline

    def handle(self, conn: Any) -> bool:
        """Serve one request; tell the pool whether to watch the connection further.

        A pipelined request waits for its turn, otherwise one client could keep the thread forever.
        """
        if conn.ends_at is not None:
            return self._is_ending(conn, is_over=conn.discard_input())
        conn.begin()
        exchange = Exchange(conn.sock, conn.client, conn.reader, next(self._request_ids))
        log_for(exchange)
        if self.trace is not None:
            steps.begin()
        try:
            is_kept = self._handle(conn, exchange)
        finally:
            exchange.count()
            if self.trace is not None:
                with suppress(Exception):
                    self.trace(exchange)
            if self._log_access is not None:
                self._log_access(exchange)
        is_kept = is_kept and self._discard_body(conn)
        conn.reader.rate.expect_nothing()
        conn.peer.environ = None
        log_for(None)
        if not is_kept:
            return self._is_ending(conn, is_over=conn.end())
        conn.idle_since = time.monotonic()
        return True

    def _is_ending(self, conn: Connection, *, is_over: bool) -> bool:
        """Close the connection once the client has closed its side or is late; tell whether it is still open."""
        if is_over or conn.is_late(time.monotonic()):
            conn.close()
            return False
        return True

    def _handle(self, conn: Connection, exchange: Exchange) -> bool:
        """Serve one request and answer its errors; tell whether another may follow."""
        conn.reader.expect_head()
        try:
            return self._serve(next(conn.parser), conn, exchange)
        except (NoMoreData, StopIteration):
            pass
        except CrowdedError:
            if not exchange.is_answered:
                from server.error_response import write_busy

                with suppress(OSError):
                    write_busy(exchange)
        except OSError as error:
            if error.errno not in _GONE:
                self.log.exception("Socket error processing request.")
        except (Exception, SystemExit) as error:
            if exchange.is_answered:
                # The client would take a second response for a part of the first, or for the next one.
                self.log.exception("Error handling request")
            else:
                client: Any = exchange
                self.handle_error(exchange.request if exchange.environ else None, client, conn.client, error)
        return False

    def _discard_body(self, conn: Connection) -> bool:
        """Discard the unread rest of the body, within bounds; tell whether the connection can be kept."""
        if conn.parser.finish_body():
            return not conn.reader.has_ended
        until = time.monotonic() + DISCARD_SECONDS
        is_discarded: bool = conn.parser.discard_body(lambda: not self.alive or until <= time.monotonic())
        return is_discarded and not conn.reader.has_ended

    def _serve(self, req: Any, conn: Connection, exchange: Exchange) -> bool:
        """Respond to a parsed head; tell whether the connection is kept."""
        if not (req.path.startswith("/v2/") and self._answer_shortly(req, conn, exchange)):
            body = self._call(req, conn, exchange)
            self._send(self._begun(exchange), body)
        resp: Any = exchange.response
        return not resp.should_close()

    def _answer_shortly(self, req: Any, conn: Connection, exchange: Exchange) -> bool:
        """Respond to a plain request as the application's `short` tells; False means that it declines.

        It takes a part of WSGI's environment and the header fields apart, and returns the whole response.
        """
        short = getattr(self.wsgi, "short", None)
        has_right_body = req.body is NO_BODY if req.method in ("GET", "HEAD") else req.method in ("POST", "PUT")
        is_plain = has_right_body and req.version == (1, 1)
        if short is None or not is_plain or req._expected_100_continue or not isinstance(conn.client, tuple):  # noqa: SLF001 - as below
            return False
        environ = {
            "REQUEST_METHOD": req.method,
            "RAW_URI": req.uri,
            "PATH_INFO": req.path,
            "REMOTE_ADDR": conn.client[0],
            "wsgi.url_scheme": req.scheme,
            REQUEST_ID: exchange.request_id,
            LISTENER: conn.server,
            "wsgi.input": req.body,
        }
        exchange.environ = conn.peer.environ = environ
        wait = _wait_of(req.path)
        conn.reader.expect_body(wait)
        answer = short(environ, req.headers)
        if answer is None:
            exchange.environ = {}
            return False
        resp = exchange.response = RegistryResponse(req, conn.sock, conn.cfg, self.tpool, conn.send_rate)
        resp.wait = wait
        self._begun(exchange).respond(answer.status, answer.headers, answer.payload, answer.file)
        return True

    def _call(self, req: Any, conn: Connection, exchange: Exchange) -> Any:
        """Return the body that the WSGI application returns."""
        # gunicorn would send 100 Continue at once, before the application can refuse the request.
        is_continue_due, req._expected_100_continue = req._expected_100_continue, False  # noqa: SLF001 - has no setting
        resp: Any
        resp, environ = wsgi.create(
            req,
            conn.sock,
            conn.client,
            conn.server,
            conn.cfg,
            response_class=RegistryResponse,
            response_args=(self.tpool, conn.send_rate),
        )
        exchange.response, exchange.environ = resp, environ
        conn.peer.environ = environ
        environ[REQUEST_ID] = exchange.request_id
        # On a unix socket SERVER_NAME and SERVER_PORT repeat the Host header.
        environ[LISTENER] = conn.server
        if signals.is_draining() or not self.alive:
            environ[DRAINING] = True
        resp.wait = _wait_of(environ["PATH_INFO"])
        conn.reader.expect_body(resp.wait)
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = req.body
        if is_continue_due and not req.body.is_finished:
            resp.is_continue_due = True
            environ["wsgi.input"] = BodyInput(AwaitedDecoder(req.body.raw, resp.send_100_continue))
        return self.wsgi(environ, resp.start_response)

    def _begun(self, exchange: Exchange) -> Any:
        """Return the response with its request id; it ends the connection if no other request may follow."""
        resp: Any = exchange.response
        resp.request_id = exchange.request_id
        if not (self.alive and self._settings.keepalive):
            resp.force_close()
        return resp

    def _send(self, resp: Any, body: Any) -> None:
        """Send the body that a WSGI application returned."""
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
        """Send the heartbeat that the master expects, and abort slow connections."""
        super().notify()
        now = time.monotonic()
        if now < self._next_rate_check:
            return
        self._next_rate_check = now + 1
        for conn in self.tpool.connections():
            if conn.is_late(now):
                conn.abort()
            elif conn.send_rate.is_too_slow():
                conn.send_rate.evict()


def _wait_of(path: str) -> Wait:
    """Return the kind of a wait: the views of `/v2/` read only an authorized client's body, except a login."""
    is_admitted = path.startswith("/v2/") and path.rstrip("/") != "/v2/token"
    return Wait.TRANSFER if is_admitted else Wait.UNAUTHENTICATED


class NoClientFaults(logging.Filter):
    """Drop log records about clients' errors, which the response states.

    gunicorn logs a traceback for each stalled client, and a warning for each TLS handshake: podman, skopeo and docker
    try one before every command on a registry without TLS.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log `record`."""
        error = record.exc_info[1] if record.exc_info is not None else None
        is_stalled = isinstance(error, BlockingIOError | TimeoutError | CrowdedError)
        return not is_stalled and not record.getMessage().startswith("Invalid request from ")
