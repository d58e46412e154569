"""Responses: head and body in one packet where they fit, files by `sendfile` with the slot released."""

import math
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from types import SimpleNamespace
from typing import IO, Any

from gunicorn import util
from gunicorn.http.wsgi import FileWrapper, Response

from server.places import Client
from server.pool import Pool, Wait
from server.reader import MIN_BYTES_PER_SECOND, WINDOW_SECONDS

# A send buffer takes this much at once; beyond it the send may wait for the client.
SMALL_BYTES = 64 * 1024
# Header values that repeat are short; a longer one may repeat what a client sent, and is not cached.
REMEMBERED_CHARACTERS = 1024
# The offset of `tcpi_bytes_acked` in `struct tcp_info` (linux/tcp.h), and the least size of the struct.
_ACKNOWLEDGED_AT = 120
_TCP_INFO_BYTES = 128
# Most waits end within this time, so younger ones cost no system call.
_YOUNG_SECONDS = 1.0


class SendRate:
    """The rate at which a client receives: one that reads a byte now and then must not hold a place forever.

    The kernel counts the acknowledged bytes, since `sendfile` is one system call until the end of the file. A send
    that does not wait is not measured.
    """

    __slots__ = ("_before", "_clock", "_since", "_sock", "_window", "client", "sent")

    def __init__(self, sock: socket.socket, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock = sock
        self.client = client
        self._clock = clock
        self._window: _Window | None = None
        self._since: float | None = None
        self._before = 0
        self.sent = 0
        """The bytes handed to the kernel, without those of a send in progress."""

    def expect_answer(self) -> None:
        """Start to measure another response."""
        self._since, self._before = None, self.sent

    def waiting(self) -> "_Window":
        """Measure the sends in the block."""
        now = self._clock()
        if self._since is None:
            self._since = now
        return _Window(self, now)

    def progress(self) -> float:
        """Return the bytes of the response acknowledged per second, at least one second.

        Called from another thread. Without the kernel's count it is 0 for every client.
        """
        since = self._since
        if self._window is None or since is None:
            return math.inf  # the wait begins or ends this very moment
        taken = max(0, _acknowledged(self._sock) - self._before)
        return taken / max(1.0, self._clock() - since)

    def is_too_slow(self) -> bool:
        """Tell whether the last WINDOW_SECONDS were below the least rate; called every second."""
        window, now = self._window, self._clock()
        if window is None or now - window.since < (_YOUNG_SECONDS if window.acknowledged is None else WINDOW_SECONDS):
            return False
        if window.acknowledged is None:
            window.since, window.acknowledged = now, _acknowledged(self._sock)
            return False
        before, window.acknowledged = window.acknowledged, _acknowledged(self._sock)
        window.since = now
        # 0 means that the kernel does not count (some sandboxes). TCP_USER_TIMEOUT ends a client that receives nothing.
        return 0 < window.acknowledged < before + WINDOW_SECONDS * MIN_BYTES_PER_SECOND

    def evict(self) -> None:
        """Reset the connection: after a normal close the kernel keeps the unsent bytes as long as the client likes."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.shutdown(socket.SHUT_RDWR)


class _Window:
    """The start of a wait or of its last check, and the bytes acknowledged by then.

    One of several waits goes on where the last one ended: the time between them is not the client's.
    """

    __slots__ = ("_send_rate", "_waited", "acknowledged", "since")

    def __init__(self, send_rate: SendRate, since: float) -> None:
        self._send_rate = send_rate
        self.since = since
        self.acknowledged: int | None = None
        self._waited = 0.0

    def __enter__(self) -> None:
        self.since = self._send_rate._clock() - self._waited  # noqa: SLF001 - its context manager
        self._send_rate._window = self  # noqa: SLF001

    def __exit__(self, *_error: object) -> None:
        self._send_rate._window = None  # noqa: SLF001
        self._waited = self._send_rate._clock() - self.since  # noqa: SLF001


class UnreadableFileError(Exception):
    """A file of a body can't be read, and another response is still possible."""


class RegistryResponse(Response):
    """gunicorn's response, with the head sent together with the first bytes of the body."""

    _omits_body: bool

    def __init__(self, req: Any, sock: socket.socket, cfg: Any, pool: Pool[Any], send_rate: SendRate) -> None:
        super().__init__(req, sock, cfg)
        self._pool = pool
        self._send_rate = send_rate
        send_rate.expect_answer()
        self._head = b""
        # The fields of `respond`, each as a line; gunicorn keeps those of `start_response`.
        self._lines: list[str] = []
        self.wait = Wait.UNAUTHENTICATED
        """The kind of a send that waits for the client."""
        self.is_continue_due = False
        """Whether the client waits for 100 Continue before it sends the body."""
        self.status_code: int | None = None
        self.request_id = ""
        self.is_complete = False
        # Django leaves it to the server to omit the body of HEAD: gunicorn would log a warning for each.
        self._omits_body_warned = True

    def send_100_continue(self) -> None:
        """Send 100 Continue, once, if the client waits for it."""
        if self.is_continue_due:
            self.is_continue_due = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def should_close(self) -> bool:
        """Tell whether the connection ends with this response.

        Without 100 Continue the client may send the body or its next request, and the two look alike. After a broken
        body the start of the next request is unknown.
        """
        body = getattr(self.req, "body", None)
        has_failed = body is not None and body.failed
        return has_failed or self.is_continue_due or super().should_close()

    def respond(self, status: int, fields: Mapping[str, str], payload: bytes, file: IO[bytes] | None) -> None:
        """Send a whole response, and close the file; of `file`, if any, Content-Length bytes from its position.

        Raises what `write_file` and `close` raise.
        """
        request: Any = self.req
        self.status_code, self.status = status, _STATUS_LINES[status]
        self._omits_body = request.method == "HEAD" or status == HTTPStatus.NOT_MODIFIED
        try:
            self._lines = [
                (_checked_line if len(value) <= REMEMBERED_CHARACTERS else _checked_line.__wrapped__)(name, value)
                for name, value in fields.items()
            ]
            if length := fields.get("Content-Length"):
                self.response_length = int(length)
            self.send_headers()
            if self._omits_body:
                pass
            elif file is not None:
                self._send_from(file.fileno(), self.response_length or 0)
            else:
                if self.response_length not in (None, len(payload)):
                    raise UnreadableFileError(f"a body of {len(payload)} bytes instead of {self.response_length}")
                self._send(payload)
                self.sent += len(payload)
            self.close()
        finally:
            if file is not None:
                file.close()

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Add the application's header fields. Raises gunicorn's errors for a malformed one."""
        fields: Any = self.headers
        for name, value in headers:
            is_short = len(value) <= REMEMBERED_CHARACTERS
            checked = _checked_header(name, value) if is_short else _checked_header.__wrapped__(name, value)
            fields += checked.headers
            if checked.response_length is not None:
                self.response_length = checked.response_length

    def default_headers(self) -> list[str]:
        """Return the status line and the fields of every response."""
        request: Any = self.req
        major, minor = request.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {_http_date(int(time.time()))}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\nX-Request-Id: {self.request_id}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def send_headers(self) -> None:
        """Build the head; the next write or `close` sends it."""
        if self.headers_sent:
            return
        fields: Any = self.headers
        self._lines += [f"{name}: {value}\r\n" for name, value in fields]
        self._head = "".join([*self.default_headers(), *self._lines, "\r\n"]).encode("latin-1")
        self.headers_sent = True

    @property
    def has_begun(self) -> bool:
        """Tell whether a byte of the response was sent."""
        return self.headers_sent and not self._head

    def close(self) -> None:
        """Complete the response. Raises OSError if the body is shorter than its Content-Length."""
        if not self.headers_sent:
            self.send_headers()
        if not self._omits_body and self.response_length is not None and self.sent < self.response_length:
            raise OSError(f"the body has {self.sent} bytes instead of {self.response_length}")
        self._send(b"0\r\n\r\n" if self.chunked else b"")
        self.is_complete = True

    def write_file(self, respiter: FileWrapper) -> None:
        """Send Content-Length bytes of the file from its position.

        Raises OSError, also if the file is shorter; UnreadableFileError if no byte of the head was sent.
        """
        if self._omits_body:
            self.send_headers()
            return
        size = self.response_length
        if size is not None and util.has_fileno(respiter.filelike):
            self.send_headers()
            self._send_from(respiter.filelike.fileno(), size)
        elif size is not None and size > SMALL_BYTES:
            self.send_headers()
            self._send_pieces(respiter, size)
        else:
            for piece in respiter:
                self.write(piece)

    def _send_from(self, descriptor: int, size: int) -> None:
        """Send `size` bytes of the file from its position, the first ones with the head."""
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        if size <= SMALL_BYTES:
            try:
                data = os.pread(descriptor, size, offset)
            except OSError as error:
                raise UnreadableFileError(error.strerror) from error
            if len(data) != size:
                raise UnreadableFileError(f"the file has {len(data)} bytes instead of {size}")
            self._send(data)
            self.sent += size
        else:
            self._send_file(descriptor, offset, size)

    def _send_pieces(self, pieces: Iterable[bytes], size: int) -> None:
        """Send `size` bytes of an object in a cloud, in one place as a file: a 503 is possible before the head only."""
        with self._pool.releases_slot(Wait.TRANSFER, self._send_rate.client.name, self._send_rate):
            window = self._send_rate.waiting()
            for piece in pieces:
                data = self._head + piece[: size - self.sent]
                self._head = b""
                # The wait for the cloud is not the client's.
                with window:
                    self.sock.sendall(data)
                self._send_rate.sent += len(data)
                self.sent += min(len(piece), size - self.sent)
                if self.sent >= size:
                    break

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        """Send a pending head and `data`; release the slot for bytes beyond the send buffer."""
        data, sent = self._head + data if self._head else data, 0
        self._head = b""
        if data:
            with suppress(BlockingIOError):
                sent = self.sock.send(data, socket.MSG_DONTWAIT)
        if sent < len(data):
            with (
                self._pool.releases_slot(self.wait, self._send_rate.client.name, self._send_rate),
                self._send_rate.waiting(),
            ):
                self.sock.sendall(memoryview(data)[sent:])
        # Afterwards: bytes in the send buffer count as a send in progress.
        self._send_rate.sent += len(data)

    def _send_file(self, descriptor: int, offset: int, size: int) -> None:
        out, end = self.sock.fileno(), offset + size
        # Before the head is sent: if too many threads wait, a 503 is still possible.
        with (
            self._pool.releases_slot(Wait.TRANSFER, self._send_rate.client.name, self._send_rate),
            self._send_rate.waiting(),
        ):
            head, self._head = self._head, b""
            self.sock.sendall(head, socket.MSG_MORE)
            while offset < end:
                sent = os.sendfile(out, descriptor, offset, end - offset)
                if not sent:
                    raise OSError(f"the file ends at {offset} instead of {end}")
                offset += sent
                self.sent += sent
        self._send_rate.sent += len(head) + size


# A digest or a path: most differ from response to response.
_PLAIN = re.compile(r"[!-~]+")
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@lru_cache(maxsize=1024)
def _checked_line(name: str, value: str) -> str:
    """Return a header field as a line of the head. Raises gunicorn's errors for a malformed one."""
    if _PLAIN.fullmatch(value) is not None and _is_sent_as_it_is(name):
        return f"{name}: {value}\r\n"
    return "".join(f"{name}: {value}\r\n" for name, value in _checked_header.__wrapped__(name, value).headers)


@lru_cache(maxsize=256)
def _is_sent_as_it_is(name: str) -> bool:
    """Return whether gunicorn reads nothing from a field of this name. Raises its errors for a malformed name."""
    checked = _checked_header.__wrapped__(name, "1")
    return checked.response_length is None and checked.headers == [(name, "1")]


def _acknowledged(sock: socket.socket) -> int:
    """Return the bytes that the peer has acknowledged; 0 when unknown."""
    try:
        found: int = struct.unpack_from(
            "Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES), _ACKNOWLEDGED_AT
        )[0]
    except (OSError, struct.error):
        return 0
    return found


@lru_cache(maxsize=1024)
def _checked_header(name: str, value: str) -> Any:
    """Return gunicorn's checked form of a header field; most fields repeat."""
    checked: Any = SimpleNamespace(headers=[], response_length=None)
    Response.process_headers(checked, [(name, value)])
    return checked


@lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    return util.http_date(second)
