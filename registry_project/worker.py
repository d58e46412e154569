"""gunicorn's thread worker, made for many small requests and a few slow clients.

    loop: accept, quiet connections ──> pool: one thread serves a connection as long as it is busy ──> loop

A connection whose next request comes within LINGER_SECONDS stays with its thread: handing it back to the loop and
on to another thread costs as much as a small request. It is let go at once when somebody waits for a thread.
"""

import errno
import logging
import selectors
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread
from gunicorn.workers.gthread import ThreadWorker

from registry_project.connection import Connection, frozen
from registry_project.outgoing import Outgoing
from registry_project.pool import CrowdedError, Pool
from registry_project.request_body import fast_input

# What a thread returns of a connection that the loop is to wait for.
_WAIT_IN_LOOP: Any = vars(gthread)["_DEFER"]
# The client went away.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF)
# There is no room for another connection.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# How long a client may take to end a connection that has ended here.
END_SECONDS = 2.0
NO_ROOM_SECONDS = 0.1


class Worker(ThreadWorker):
    """A gthread worker with a pool and connections of the registry's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a worker; the arguments are gunicorn's."""
        super().__init__(*args, **kwargs)
        self._open: set[Connection] = set()
        # Those that wait for their client to end them too, and until when.
        self._ending: dict[Connection, float] = {}
        self._looks_at = self._complains_at = 0.0
        self._settings = frozen(self.cfg)
        self._environ = dict(wsgi.base_environ(self.cfg))
        self.tpool: Any

    def get_thread_pool(self) -> Any:
        """Make the pool: gunicorn's `threads` are what serves at once."""
        return Pool(self.cfg.threads, settings.REGISTRY.server.transfers, connections.close_all)

    def init_process(self) -> None:
        """Start the worker, with two functions of the registry's that gunicorn has no settings for."""
        from registry_project.unread import write_error

        util.write_error = write_error
        wsgi.base_environ = lambda cfg: self._environ.copy()  # noqa: ARG005 - gunicorn's signature
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; one that says nothing yet waits in the loop, without a thread."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            # A client's fault on the way comes here too, and no fault of one ends the worker.
            if error.errno in _NO_ROOM:
                self._complain(error)
            return
        self.nr_conns += 1
        conn = Connection(self._settings, sock, client, listener.getsockname(), self.tpool)
        self._open.add(conn)
        if _has_bytes(sock):
            self.enqueue_req(conn)
        else:
            silent: Future[Any] = Future()
            silent.set_result(_WAIT_IN_LOOP)
            self.finish_request(conn, silent)

    def _complain(self, error: OSError) -> None:
        """Say now and then that there is no room, and pause: the listener tells of its queue again at once."""
        if self._complains_at <= time.monotonic():
            self._complains_at = time.monotonic() + 60
            self.log.error("connections have to wait: %s", error.strerror)
        time.sleep(NO_ROOM_SECONDS)

    def enqueue_req(self, conn: Any) -> None:
        """Have the connection served by the pool, then looked at by the loop."""
        self.tpool.submit(partial(self._serve, conn))

    def _serve(self, conn: Connection) -> None:
        done: Future[Any] = Future()
        try:
            conn.sock.setblocking(True)
            done.set_result(self.handle(conn))
        except BaseException as error:  # noqa: BLE001 - the loop gets it, and closes the connection
            done.set_exception(error)
        self.method_queue.defer(self.finish_request, conn, done)

    def handle(self, conn: Any) -> bool:
        """Serve requests of the connection while they follow each other; return whether the loop is to keep it."""
        while True:
            conn.incoming.pace.expect_head()
            is_kept = self._handle(conn)
            conn.incoming.pace.expect_nothing()
            if not (is_kept and self.alive and conn.has_next()):
                break
        if not is_kept and conn.end():
            conn.close()
        return is_kept

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Have the loop wait for what a served connection waits for: its next request, or its end."""
        if not conn.is_ending:
            super().finish_request(conn, fs)
        elif conn.sock.fileno() < 0:
            self.nr_conns -= 1
        else:
            conn.sock.setblocking(False)
            self._ending[conn] = time.monotonic() + END_SECONDS
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drop, conn))

    def _drop(self, conn: Connection, _sock: socket.socket) -> None:
        if conn.drop():
            self._close_ending(conn)

    def _close_ending(self, conn: Connection) -> None:
        del self._ending[conn]
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """Let no quiet connection hold up a stop beyond `deadline`, one without any request neither."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def murder_pending(self) -> None:
        """Close what has waited for too long, for its first request or its end."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, until in self._ending.items() if until <= now]:
            self._close_ending(conn)

    def _handle(self, conn: Connection) -> bool:
        """Serve one request; return whether another one may follow."""
        req = None
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
        conn.incoming.pace.expect_body()
        resp: Any
        resp, environ = wsgi.create(
            req, conn.sock, conn.client, conn.server, conn.cfg, response_class=Outgoing, response_args=(self.tpool,)
        )
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = fast_input(req.body, conn.incoming) or req.body
        if len(self.keepalived_conns) >= self.max_keepalived:
            resp.force_close()
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
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + 1
        for conn in list(self._open):
            if conn.sock.fileno() < 0:
                self._open.discard(conn)
            elif conn.incoming.pace.is_too_slow():
                # What its thread waits for comes as the end of the stream.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def _drain_until() -> float:
    """Return until when the rest of a body is waited for, in seconds of the monotonic clock."""
    return time.monotonic() + gthread.DEFAULT_WORKER_DATA_TIMEOUT


def _turn_away(sock: socket.socket) -> None:
    """Tell a client that nothing was sent to yet that it can't be waited for."""
    from registry_project.unread import write_busy

    with suppress(OSError):
        write_busy(sock)


def _has_bytes(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


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
