"""A client's connection: its parser and its source of bytes."""

import socket
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from registry_project.client import Client
from registry_project.incoming import MAX_BYTES, Incoming
from registry_project.open_connections import OpenConnections
from registry_project.outgoing import Drain
from registry_project.pool import CrowdedError, Pool

# How long a client may take to end a connection that has ended here, and what it may still send.
END_SECONDS = 2.0
DROPPED_BYTES = 1024 * 1024


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes: each request asks for some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class PlainRequest(Request):
    """A request of a peer that gunicorn believes nothing: `registry_project.proxies` decides whom to believe."""

    def __init__(self, cfg: Any, unreader: Any, *args: Any) -> None:
        """Parse the head; the arguments are gunicorn's."""
        unreader.request = self
        super().__init__(cfg, unreader, *args)

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Parser(RequestParser):
    """gunicorn's parser, which does not read again a body that was read."""

    mesg_class = PlainRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> Any:
        """Drop what is left of the body; False when that can't be done, so that the connection has to end."""
        body: Any = self.mesg.body if self.mesg is not None else None
        if body is None or is_read(body):
            return True
        source: Any = self.unreader
        try:
            # A deadline makes each read wait by itself, so the source can't tell when to lend the thread.
            with source.lent():
                return super().finish_body(deadline, max_bytes)
        except CrowdedError:
            return False


class Connection(TConn):
    """A connection that one thread at a time serves, and that only its thread closes."""

    def __init__(
        self,
        cfg: Any,
        sock: socket.socket,
        client: Any,
        server: Any,
        pool: Pool[Any],
        *,
        peer: Client,
        opened: OpenConnections,
    ) -> None:
        """Serve `client` on `sock` with the `frozen` settings."""
        super().__init__(cfg, sock, client, server)
        sock.setblocking(True)
        self.peer = peer
        self.incoming = Incoming(sock, pool, peer)
        self.drain = Drain(sock, peer)
        self.parser: Any = Parser(cfg, sock, client)
        self.parser.unreader = self.incoming
        # Since when nobody serves it, and when it is closed at the latest.
        self.quiet_since: float | None = time.monotonic()
        self.ends_at: float | None = None
        self._may_drop = DROPPED_BYTES
        self._pool = pool
        self._opened = opened
        opened.add(self)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.sock.fileno()

    @property
    def has_more(self) -> bool:
        """Tell whether the beginning of another request came with the last one."""
        return self.ends_at is None and self.incoming.is_ahead

    def end(self) -> bool:
        """Say that nothing more comes, and tell whether the client has said so too (RFC 9112, 9.6).

        Until it does, what it sends has to be dropped: a reset would take the last answer from it.
        """
        self.ends_at = time.monotonic() + END_SECONDS
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

    def cut(self) -> None:
        """Shut the socket down so that the thread that serves it reads end of file."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def end_quiet(self) -> bool:
        """Shut the socket down so that its thread reads end of file, unless a request has come that waits for one.

        What comes this very moment can be answered still: only the side that is read is closed.
        """
        with suppress(OSError):
            try:
                self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self.sock.shutdown(socket.SHUT_RD)
                return True
        return False

    def end_idle(self) -> bool:
        """End a connection that asks nothing, or half of something; tell whether it is one."""
        if self.quiet_since is not None:
            return self.end_quiet()
        is_half = self.incoming.pace.awaits_head
        if is_half:
            self.cut()
        return is_half

    def is_late(self, now: float) -> bool:
        """Tell whether its client takes too long: for a request, or to end it too."""
        return self.incoming.pace.is_too_slow() if self.ends_at is None else self.ends_at <= now

    def close(self, graceful: bool = False) -> None:
        """Close at once; `end` comes before, where the client is to read the last answer."""
        self._opened.remove(self)
        try:
            self._pool.forget(self)
        finally:
            util.close(self.sock)


def is_read(body: Any) -> bool:
    """Tell whether nothing of a request's body is left to be read."""
    reader = body.reader
    is_at_end = not reader.length if isinstance(reader, LengthReader) else not (reader.parser or reader.buf.tell())
    return is_at_end and not body.buf.tell() and not body.failed
