"""A client connection, its request parser, and how the connection ends."""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import (
    InvalidHeader,
    LimitRequestHeaders,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from server.open_connections import OpenConnections
from server.places import Client
from server.pool import Pool
from server.reader import MAX_BYTES, Reader
from server.request_body import NO_BODY, BodyInput, ChunkDecoder, LengthDecoder
from server.response import SendRate

# After a half-close: how long to wait for the client's own, and how much input to discard meanwhile.
END_SECONDS = 2.0
DISCARDED_BYTES = 1024 * 1024
# The most bytes of an unread body that are discarded to keep its connection.
DISCARDED_BODY_BYTES = 64 * 1024

# The request line and all fields together: nginx and most others allow 32 KiB.
MAX_HEAD_BYTES = 64 * 1024

_HEAD_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
# RFC 3986, 3.2.2 and 3.2.3: `uri-host [ ":" port ]`; a registered name may be empty.
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z._~!$&'()*+,;=%:-]+\])(?::[0-9]*)?")


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes, since each request reads some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class HostError(InvalidHeader):
    """The request names no host, or two (RFC 9112, 3.2); the argument is the whole message."""

    def __str__(self) -> str:
        return str(self.hdr)


class PlainRequest(Request):
    """A request whose forwarded headers gunicorn ignores: the middleware `proxies` decides which to trust."""

    body: Any
    version: Any
    unreader: Any

    def __init__(self, cfg: Any, unreader: Any, *args: Any) -> None:
        unreader.request = self
        # Each response asks; true until the head is parsed.
        self._is_last = True
        super().__init__(cfg, unreader, *args)

    def parse(self, unreader: Any) -> Any:
        """Read the whole head, then parse it: gunicorn searches it from the start for each packet."""
        head, searched = bytearray(), 0
        self.read_into(unreader, head, stop=True)
        while head.find(_HEAD_END, max(0, searched - 3)) < 0 and not self._is_refused(head, searched):
            searched = len(head)
            if searched > MAX_HEAD_BYTES:
                raise LimitRequestHeaders(f"the head is larger than {MAX_HEAD_BYTES} bytes")
            self.read_into(unreader, head)
        return self._parse_python(unreader, head)  # type: ignore[attr-defined]  # its stubs leave it out

    def _is_refused(self, head: bytearray, searched: int) -> bool:
        """Tell whether gunicorn refuses the head whatever follows.

        A complete request line is parsed at once, with gunicorn's errors: the access log then names it even if the
        rest never comes.
        """
        if _BARE_LF.search(head, searched):
            return True
        if self.method is None:
            # The search starts behind an empty line, which may come first.
            end = head.find(b"\r\n", 2)
            if end < 0 or end > self.limit_request_line + 2:
                return len(head) > self.limit_request_line + 4
            self.parse_request_line(bytes(head[:end].removeprefix(b"\r\n")))
        return False

    def set_body_reader(self) -> None:
        """Choose the body decoder. Raises ParseException, also for framing that gunicorn accepts."""
        super().set_body_reader()
        self._check_host()
        self._is_last = self._asks_to_close()
        if isinstance(self.body.reader, ChunkedReader):
            codings = [value for name, value in self.headers if name == "TRANSFER-ENCODING"]
            if len(codings) != 1 or codings[0].lower() != "chunked":
                raise UnsupportedTransferCoding(", ".join(codings))
            check_trailers = partial(self.parse_headers, from_trailer=True)
            self.body = BodyInput(ChunkDecoder(self.unreader, check_trailers))
        else:
            length = self.body.reader.length
            self.body = BodyInput(LengthDecoder(self.unreader, length)) if length else NO_BODY

    def should_close(self) -> bool:
        """Tell whether this is the last request of the connection."""
        return self.must_close or self._is_last or self.unreader.has_ended

    def _asks_to_close(self) -> bool:
        """Tell whether the client closes after the response (RFC 9112, 9.3): gunicorn reads only a single option."""
        values = [value for name, value in self.headers if name == "CONNECTION"]
        options = [option.strip(" \t").lower() for value in values for option in value.split(",")]
        if self.method == "CONNECT" or "close" in options:
            return True
        return bool(self.version < (1, 1)) and "keep-alive" not in options

    def _check_host(self) -> None:
        """Require a single host in target and `Host`: the application reads `Host` alone."""
        host = next((value for name, value in self.headers if name == "HOST"), None)
        authority = self._authority()
        if host is None:
            if self.version >= (1, 1):
                raise HostError("a request of HTTP/1.1 needs a Host header")
            if authority is not None:
                self.headers.append(("HOST", authority))
            return
        if not _HOST.fullmatch(host):
            raise InvalidHeader("HOST")
        if authority is not None and host.lower() != authority.lower():
            # The target would count (RFC 9112, 3.2.2), but a proxy may have routed by `Host`.
            raise HostError("the request line names another host than the Host header")

    def _authority(self) -> str | None:
        """Return the host of an absolute target; None means the target is a path (RFC 9112, 3.2)."""
        uri = self.uri or ""
        if uri.startswith("/") or "://" not in uri:
            return None
        parts = urlsplit(uri)
        # User information is an error (RFC 9110, 4.2.4), and so is an empty host.
        if parts.scheme not in ("http", "https") or not parts.hostname or not _HOST.fullmatch(parts.netloc):
            raise HostError("an absolute request target begins with http:// or https:// and a host")
        return parts.netloc

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Parser(RequestParser):
    """gunicorn's parser, which leaves the body unread."""

    mesg_class = PlainRequest

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
