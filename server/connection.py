"""A client connection, its request parser, and how the connection ends."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from server.head.fast import FastParser
from server.head.request import PlainRequest
from server.open_connections import OpenConnections
from server.places import Client
from server.pool import Pool
from server.reader import MAX_BYTES, Reader
from server.response import SendRate

# After a half-close: how long to wait for the client's own, and how much input to discard meanwhile.
END_SECONDS = 2.0
DISCARDED_BYTES = 1024 * 1024
# The most bytes of an unread body that are discarded to keep its connection.
DISCARDED_BODY_BYTES = 64 * 1024


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes, since each request reads some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class Parser(RequestParser):
    """gunicorn's parser, which leaves the body unread."""

    mesg_class = PlainRequest

    def __init__(self, cfg: Any, source: Any, source_addr: Any) -> None:
        super().__init__(cfg, source, source_addr)
        self._fast = FastParser(cfg)

    def __next__(self) -> Any:
        """Return the next request, by the fast way if its head came in one piece. Raises StopIteration at the end."""
        if self.mesg is not None and (self.mesg.should_close() or not self.finish_body()):
            raise StopIteration
        source: Any = self.unreader
        head = source.read()
        if not head:
            raise StopIteration
        request = self._fast.parse(source, head)
        if request is None:
            source.unread(head)
            return super().__next__()
        self.mesg = request
        return request

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> Any:
        """Tell whether the body was read; gunicorn's own method discards the rest, however long it is."""
        body: Any = self.mesg.body if self.mesg is not None else None
        return body is None or body.is_finished

    def discard_body(self, is_over: Callable[[], bool]) -> bool:
        """Discard the unread rest of a body; tell whether the next request can be read.

        Gives up beyond DISCARDED_BODY_BYTES, or when a read has to wait after `is_over`.
        """
        if self.finish_body():
            return True
        request: Any = self.mesg
        source: Any = self.unreader
        body, left = request.body, DISCARDED_BODY_BYTES
        view = memoryview(bytearray(DISCARDED_BODY_BYTES))
        try:
            with source.discarding(is_over):
                while left > 0 and not (body.failed or body.is_finished):
                    left -= body.raw.readinto(view[:left])
        except (OSError, ParseException):
            return False
        return bool(body.is_finished)


class Connection(TConn):
    """A connection, served by one thread at a time and closed by that thread only."""

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
        """Take the `frozen` settings, the socket and its two addresses."""
        super().__init__(cfg, sock, client, server)
        sock.setblocking(True)
        self.peer = peer
        self.network = peer.network
        """The client's network; empty when only a request can tell."""
        self.reader = Reader(sock, pool, peer)
        self.send_rate = SendRate(sock, peer)
        self.parser: Any = Parser(cfg, sock, client)
        self.parser.unreader = self.reader
        # Orders `begin` and `close_idle`: only one of them wins.
        self._claim = threading.Lock()
        # Since when no thread serves it, and the deadline after a half-close.
        self.idle_since: float | None = time.monotonic()
        self.ends_at: float | None = None
        self._discardable = DISCARDED_BYTES
        self._pool = pool
        self._opened = opened
        opened.add(self)

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self.sock.fileno()

    @property
    def has_more(self) -> bool:
        """Tell whether bytes of a pipelined request were read already."""
        return self.ends_at is None and self.reader.is_ahead

    def begin(self) -> None:
        """Mark the connection as served, so that it is not closed as idle."""
        with self._claim:
            self.idle_since = None

    def end(self) -> bool:
        """Half-close after the last response; tell whether the client has closed its side (RFC 9112, 9.6).

        Until then its input is discarded: a reset would make it lose the response.
        """
        self.ends_at = time.monotonic() + END_SECONDS
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        return self.discard_input()

    def discard_input(self) -> bool:
        """Discard the input after a half-close; tell whether it ended or exceeds the limit."""
        try:
            while self._discardable > 0 and (data := self.sock.recv(MAX_BYTES, socket.MSG_DONTWAIT)):
                self._discardable -= len(data)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def abort(self) -> None:
        """Shut the socket down so that the thread that serves it reads end of file."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close_idle(self) -> bool:
        """Shut the socket down for reading, unless a request has come; tell whether it did.

        The sending side stays open, so a request of this very moment still gets a response.
        """
        with self._claim, suppress(OSError):
            if self.idle_since is None or self.has_more:
                return False
            try:
                self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self.reader.evict()
                return True
        return False

    def close_to_make_room(self) -> bool:
        """Close the connection if it is idle or its head is incomplete; tell whether it is."""
        if self.idle_since is not None:
            return self.close_idle()
        is_incomplete = self.reader.rate.head_until is not None
        if is_incomplete:
            # For reading only: the rest of the head may have come this very moment, and gets a response.
            self.reader.evict()
        return is_incomplete

    def is_late(self, now: float) -> bool:
        """Tell whether the client is too slow to send, or to close after a half-close."""
        return self.reader.rate.is_too_slow() if self.ends_at is None else self.ends_at <= now

    def close(self, graceful: bool = False) -> None:
        """Close at once; without `end` before, the client may lose the last response."""
        self._opened.remove(self)
        try:
            self._pool.forget(self)
        finally:
            util.close(self.sock)
