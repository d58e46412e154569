"""A client's connection: its parser, its source of bytes, and what tells whether another request comes."""

import select
import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from registry_project.incoming import MAX_BYTES, Incoming
from registry_project.pool import CrowdedError, Pool

LINGER_SECONDS = 0.02
# What a client may still send when its connection has ended here.
DROPPED_BYTES = 1024 * 1024


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes: each request asks for some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class PlainRequest(Request):
    """A request of a peer that gunicorn believes nothing: `registry_project.proxies` decides whom to believe."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Parser(RequestParser):
    """gunicorn's parser, which does not read again a body that was read."""

    mesg_class = PlainRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> Any:
        """Drop what is left of the body; False when that can't be done, so that the connection has to end."""
        body: Any = self.mesg.body if self.mesg is not None else None
        if body is None or _is_read(body):
            return True
        source: Any = self.unreader
        try:
            # A deadline makes each read wait by itself, so the source can't tell when to lend the thread.
            with source.lent():
                return super().finish_body(deadline, max_bytes)
        except CrowdedError:
            return False


class Connection(TConn):
    """A connection that one thread at a time serves."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, pool: Pool) -> None:
        """Serve `client` on `sock` with the `frozen` settings."""
        super().__init__(cfg, sock, client, server)
        self.incoming = Incoming(sock, pool)
        self.parser: Any = Parser(cfg, sock, client)
        self.parser.unreader = self.incoming
        self.is_ending = False
        self._may_drop = DROPPED_BYTES
        self._pool = pool
        self._next = select.poll()
        self._next.register(sock.fileno(), select.POLLIN)
        self._next.register(pool.bell, select.POLLIN)

    def has_next(self) -> bool:
        """Wait a little for the next request; do not while somebody waits for a thread."""
        if self._pool.is_wanted:
            return False
        if self.incoming.is_ahead:
            return True
        ready = self._next.poll(LINGER_SECONDS * 1000)
        return len(ready) == 1 and ready[0][0] != self._pool.bell

    def end(self) -> bool:
        """Say that nothing more comes, and tell whether the client has said so too (RFC 9112, 9.6).

        Until it does, what it sends has to be dropped: a reset would take the last answer from it.
        """
        self.is_ending = True
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        return self.drop()

    def drop(self) -> bool:
        """Drop what has come since the end; tell whether that was all, or as much as is waited for."""
        try:
            while self._may_drop > 0 and (data := self.sock.recv(MAX_BYTES, socket.MSG_DONTWAIT)):
                self._may_drop -= len(data)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def close(self, graceful: bool = False) -> None:
        """Close at once; `end` comes before, where the client is to read the last answer."""
        util.close(self.sock)


def _is_read(body: Any) -> bool:
    reader = body.reader
    is_at_end = not reader.length if isinstance(reader, LengthReader) else not (reader.parser or reader.buf.tell())
    return is_at_end and not body.buf.tell() and not body.failed
