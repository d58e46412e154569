"""A client's connection: its parser and its source of bytes."""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
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

from server.client import Client
from server.open_connections import OpenConnections
from server.pool import Pool
from server.reader import MAX_BYTES, Incoming
from server.request_body import NO_BODY, BodyInput, ChunkDecoder, LengthDecoder
from server.response import Drain

# How long a client may take to end a connection that has ended here, and what it may still send.
END_SECONDS = 2.0
DROPPED_BYTES = 1024 * 1024
# What is dropped of a body at most, so that its connection can be kept.
DROPPED_BODY_BYTES = 64 * 1024

# Of a request, all lines together: nginx and most others take 32 KiB.
MAX_HEAD_BYTES = 64 * 1024

_HEAD_END = b"\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")
# RFC 3986, 3.2.2 and 3.2.3: `uri-host [ ":" port ]`; a registered name may be empty.
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z._~!$&'()*+,;=%:-]+\])(?::[0-9]*)?")


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes: each request asks for some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class HostError(InvalidHeader):
    """A request that names no host, or two (RFC 9112, 3.2)."""

    def __init__(self, sentence: str) -> None:
        """Answer the `sentence`."""
        super().__init__("HOST")
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence


class PlainRequest(Request):
    """A request of a peer that gunicorn believes nothing: the middleware `proxies` decides whom to believe."""

    body: Any
    version: Any
    unreader: Any

    def __init__(self, cfg: Any, unreader: Any, *args: Any) -> None:
        """Parse the head; the arguments are gunicorn's."""
        unreader.request = self
        # Until the head says otherwise; asked for with each answer.
        self._is_last = True
        super().__init__(cfg, unreader, *args)

    def parse(self, unreader: Any) -> Any:
        """Parse the head once all of it is there: gunicorn would search it from its beginning for each packet."""
        head, searched = bytearray(), 0
        self.read_into(unreader, head, stop=True)
        while head.find(_HEAD_END, max(0, searched - 3)) < 0 and not self._is_refused(head, searched):
            searched = len(head)
            if searched > MAX_HEAD_BYTES:
                raise LimitRequestHeaders(f"the head is larger than {MAX_HEAD_BYTES} bytes")
            self.read_into(unreader, head)
        return self._parse_python(unreader, head)  # type: ignore[attr-defined]  # its stubs leave it out

    def _is_refused(self, head: bytearray, searched: int) -> bool:
        """Tell whether gunicorn refuses what is there of a head already, however it goes on.

        Raises what it raises for a request line, which is parsed once it is there: the log names it even if no more
        comes.
        """
        if _BARE_LF.search(head, searched):
            return True
        if self.method is None:
            # Behind an empty line, if there is one.
            end = head.find(b"\r\n", 2)
            if end < 0 or end > self.limit_request_line + 2:
                return len(head) > self.limit_request_line + 4
            self.parse_request_line(bytes(head[:end].removeprefix(b"\r\n")))
        return False

    def set_body_reader(self) -> None:
        """Find the body. Raises ParseException also for what gunicorn accepts and nobody can mean."""
        super().set_body_reader()
        self._check_host()
        self._is_last = self._says_last()
        if isinstance(self.body.reader, ChunkedReader):
            codings = [value for name, value in self.headers if name == "TRANSFER-ENCODING"]
            if len(codings) != 1 or codings[0].lower() != "chunked":
                raise UnsupportedTransferCoding(", ".join(codings))
            self.body = BodyInput(ChunkDecoder(self.unreader, self._check_trailers))
        else:
            length = self.body.reader.length
            self.body = BodyInput(LengthDecoder(self.unreader, length)) if length else NO_BODY

    def should_close(self) -> bool:
        """Tell whether no other request follows on the connection."""
        return self.must_close or self._is_last or self.unreader.has_ended

    def _says_last(self) -> bool:
        """Tell whether the client says that this is its last (RFC 9112, 9.3): gunicorn reads no list of options."""
        values = [value for name, value in self.headers if name == "CONNECTION"]
        options = [option.strip(" \t").lower() for value in values for option in value.split(",")]
        if self.method == "CONNECT" or "close" in options:
            return True
        return bool(self.version < (1, 1)) and "keep-alive" not in options

    def _check_host(self) -> None:
        """Let the request name one host at most, wherever it does: what is behind reads `Host` alone."""
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
            # The target would count (RFC 9112, 3.2.2), and whoever routes by `Host` has read another one.
            raise HostError("the request line names another host than the Host header")

    def _authority(self) -> str | None:
        """Return the host that an absolute target names, None where the target is a path (RFC 9112, 3.2)."""
        uri = self.uri or ""
        if uri.startswith("/") or "://" not in uri:
            return None
        parts = urlsplit(uri)
        # A name and a password in it are an error (RFC 9110, 4.2.4), and so is no host at all.
        if parts.scheme not in ("http", "https") or not parts.hostname or not _HOST.fullmatch(parts.netloc):
            raise HostError("an absolute request target begins with http:// or https:// and a host")
        return parts.netloc

    def _check_trailers(self, section: bytes) -> None:
        self.parse_headers(section, from_trailer=True)

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Parser(RequestParser):
    """gunicorn's parser, which reads no body."""

    mesg_class = PlainRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> Any:
        """Tell whether the next request begins here; gunicorn's own drops the body, however long that takes."""
        body: Any = self.mesg.body if self.mesg is not None else None
        return body is None or body.is_finished

    def drop_body(self, is_over: Callable[[], bool]) -> bool:
        """Drop what is left of an answered request's body; tell whether the next request begins behind it.

        A long body is not worth it, nor one that has to be waited for once it `is_over`.
        """
        if self.finish_body():
            return True
        request: Any = self.mesg
        source: Any = self.unreader
        body, left = request.body, DROPPED_BODY_BYTES
        view = memoryview(bytearray(DROPPED_BODY_BYTES))
        try:
            with source.dropping(is_over):
                while left > 0 and not (body.failed or body.is_finished):
                    left -= body.raw.readinto(view[:left])
        except (OSError, ParseException):
            return False
        return bool(body.is_finished)


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
        # Held by whoever ends a quiet connection or begins to serve it: never both.
        self._claim = threading.Lock()
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
    def network(self) -> str:
        """Where its client is; empty when nothing tells before a request is read."""
        return self.peer.network

    @property
    def has_more(self) -> bool:
        """Tell whether the beginning of another request came with the last one."""
        return self.ends_at is None and self.incoming.is_ahead

    def begin(self) -> None:
        """Be quiet no longer: a thread serves what has come."""
        with self._claim:
            self.quiet_since = None

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
        """Shut the socket down so that its thread reads end of file, unless a request has come, or is served already.

        What comes this very moment can be answered still: only the side that is read is closed.
        """
        with self._claim, suppress(OSError):
            if self.quiet_since is None or self.has_more:
                return False
            try:
                self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                self.incoming.evict()
                return True
        return False

    def end_idle(self) -> bool:
        """End a connection that asks nothing, or half of something; tell whether it is one."""
        if self.quiet_since is not None:
            return self.end_quiet()
        is_half = self.incoming.pace.awaits_head
        if is_half:
            # Only the side that is read: the other half may have come this very moment, and is answered.
            self.incoming.evict()
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
