"""What goes out: head and body in one packet where they fit, files by `sendfile` while the thread is lent."""

import math
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import FileWrapper, Response

from server.client import Client
from server.pool import Pool, Wait
from server.reader import MIN_BYTES_PER_SECOND, WINDOW_SECONDS

# A socket takes this much at once; with more the client may have to be waited for.
SMALL_BYTES = 64 * 1024
# What is answered again and again is short, and what repeats a request of a stranger's may be long.
REMEMBERED_CHARACTERS = 1024
# Where `tcpi_bytes_acked` stands in `struct tcp_info` (linux/tcp.h), and how long that is at least.
_ACKNOWLEDGED_AT = 120
_TCP_INFO_BYTES = 128
# How long a wait lasts before it is worth asking the kernel: most are over by then.
_YOUNG_SECONDS = 1.0


class Drain:
    """How fast a client takes what it is sent. One that takes a byte now and then would hold a place for ever.

    The kernel counts: a thread that sends a file is in one system call until all of it is out. Whoever takes what it is
    sent at once is never asked about.
    """

    __slots__ = ("_before", "_client", "_clock", "_since", "_sock", "_window", "sent")

    def __init__(self, sock: socket.socket, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        """Expect nothing yet of `client` on `sock`."""
        self._sock = sock
        self._client = client
        self._clock = clock
        self._window: _Window | None = None
        self._since: float | None = None
        self._before = 0
        self.sent = 0
        """How many bytes were handed to the kernel, but for those of a wait that goes on."""

    def expect_answer(self) -> None:
        """Begin to count another answer."""
        self._since, self._before = None, self.sent

    def waiting(self) -> "_Window":
        """Expect the client to take what is sent in the block."""
        now = self._clock()
        if self._since is None:
            self._since = now
        return _Window(self, now)

    def progress(self) -> float:
        """Return how many bytes of the answer it took a second since it is waited for, of the first second all of them.

        Another thread asks. A system that counts nothing says 0 of everybody.
        """
        since = self._since
        if self._window is None or since is None:
            return math.inf  # it begins or ends this very moment
        taken = max(0, _acknowledged(self._sock) - self._before)
        return taken / max(1.0, self._clock() - since)

    def is_too_slow(self) -> bool:
        """Tell whether it took less in WINDOW_SECONDS than is the least acceptable. The loop asks every second."""
        window, now = self._window, self._clock()
        if window is None or now - window.since < (_YOUNG_SECONDS if window.acknowledged is None else WINDOW_SECONDS):
            return False
        if window.acknowledged is None:
            window.since, window.acknowledged = now, _acknowledged(self._sock)
            return False
        before, window.acknowledged = window.acknowledged, _acknowledged(self._sock)
        window.since = now
        # A system that counts nothing, as some sandboxes, says 0. A client that takes nothing meets TCP_USER_TIMEOUT.
        return 0 < window.acknowledged < before + WINDOW_SECONDS * MIN_BYTES_PER_SECOND

    @property
    def client(self) -> str:
        """Who is waited for."""
        return self._client.name

    def evict(self) -> None:
        """Reset the connection: closed as ever, the kernel would keep what is unsent for as long as a client likes."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.shutdown(socket.SHUT_RDWR)


class _Window:
    """Since when a client is waited for, or watched, and how many bytes it had acknowledged then."""

    __slots__ = ("_drain", "acknowledged", "since")

    def __init__(self, drain: Drain, since: float) -> None:
        self._drain = drain
        self.since = since
        self.acknowledged: int | None = None

    def __enter__(self) -> None:
        self._drain._window = self  # noqa: SLF001 - the two are one

    def __exit__(self, *_error: object) -> None:
        self._drain._window = None  # noqa: SLF001


class Outgoing(Response):
    """gunicorn's response, which sends its head together with the first bytes of the body."""

    _omits_body: bool

    def __init__(self, req: Any, sock: socket.socket, cfg: Any, pool: Pool[Any], drain: Drain) -> None:
        """Answer `req` on `sock`."""
        super().__init__(req, sock, cfg)
        self._pool = pool
        self._drain = drain
        drain.expect_answer()
        self._head = b""
        self._wait = Wait.STRANGER
        self._is_continue_due = False
        self.status_code: int | None = None
        self.request_id = ""
        self.is_complete = False

    def expect_client(self, *, is_admitted: bool) -> None:
        """Say whether what is large goes only to a client that may have it."""
        self._wait = Wait.TRANSFER if is_admitted else Wait.STRANGER

    def expect_100_continue(self) -> None:
        """Take note that the client sends its body only after 100 Continue, or when it has waited for long."""
        self._is_continue_due = True

    def send_100_continue(self) -> None:
        """Tell a client that waits for it to send the body, once."""
        if self._is_continue_due:
            self._is_continue_due = False
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def should_close(self) -> bool:
        """Tell whether the connection ends with this response.

        A client that was never told to go on may send its body all the same, or its next request: the two can't be
        told apart, so nothing more is read as a request. Nor is it known where the next one begins when the body has
        failed.
        """
        body = getattr(self.req, "body", None)
        has_failed = body is not None and body.failed
        return has_failed or self._is_continue_due or super().should_close()

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Take the header fields of the application. Raises what gunicorn raises for one that is malformed."""
        fields: Any = self.headers
        for name, value in headers:
            is_short = len(value) <= REMEMBERED_CHARACTERS
            judged = _judged(name, value) if is_short else _judged.__wrapped__(name, value)
            fields += judged.headers
            if judged.response_length is not None:
                self.response_length = judged.response_length

    def default_headers(self) -> list[str]:
        """Return the lines that every response begins with."""
        request: Any = self.req
        major, minor = request.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {_http_date(int(time.time()))}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\nX-Request-Id: {self.request_id}\r\n",
        ]
        return [*lines, "Transfer-Encoding: chunked\r\n"] if self.chunked else lines

    def send_headers(self) -> None:
        """Make the head; it is sent with what comes next, or by `close`."""
        if self.headers_sent:
            return
        fields: Any = self.headers
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]
        self._head = "".join(lines).encode("latin-1")
        self.headers_sent = True

    @property
    def has_begun(self) -> bool:
        """Tell whether anything of the response is out."""
        return self.headers_sent and not self._head

    def close(self) -> None:
        """End the response. Raises OSError when the body is shorter than its Content-Length."""
        if not self.headers_sent:
            self.send_headers()
        if not self._omits_body and self.response_length is not None and self.sent < self.response_length:
            raise OSError(f"the body has {self.sent} bytes instead of {self.response_length}")
        self._send(b"0\r\n\r\n" if self.chunked else b"")
        self.is_complete = True

    def write_file(self, respiter: FileWrapper) -> None:
        """Send what the file has from where it stands, as long as Content-Length says.

        Raises OSError when the file ends before.
        """
        if self._omits_body:
            self.send_headers()
            return
        size = self.response_length
        if size is None or not util.has_fileno(respiter.filelike):
            for piece in respiter:
                self.write(piece)
            return
        self.send_headers()
        descriptor = respiter.filelike.fileno()
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        if size <= SMALL_BYTES:
            self._send(_exactly(os.pread(descriptor, size, offset), size))
            self.sent += size
        else:
            self._send_file(descriptor, offset, size)

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        """Send the head, if it is still to be sent, and `data`; what a socket does not take at once, lent."""
        data = self._head + data if self._head else data
        sent = self._send_now(data) if data else 0
        if sent < len(data):
            with self._pool.lent(self._wait, self._drain), self._drain.waiting():
                self.sock.sendall(memoryview(data)[sent:])
        # Only now: what the kernel has and the client has not is waited for.
        self._drain.sent += len(data)

    def _send_now(self, data: bytes) -> int:
        self._head = b""
        try:
            return self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _send_file(self, descriptor: int, offset: int, size: int) -> None:
        out, end = self.sock.fileno(), offset + size
        # Lent before the head goes out: when too many are already, there is still another answer to give.
        with self._pool.lent(Wait.TRANSFER, self._drain), self._drain.waiting():
            head, self._head = self._head, b""
            self.sock.sendall(head, socket.MSG_MORE)
            while offset < end:
                sent = os.sendfile(out, descriptor, offset, end - offset)
                if not sent:
                    raise OSError(f"the file ends at {offset} instead of {end}")
                offset += sent
                self.sent += sent
        self._drain.sent += len(head) + size


def _acknowledged(sock: socket.socket) -> int:
    """Return how many bytes the other side has taken; 0 where that is not known."""
    try:
        found: int = struct.unpack_from(
            "Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES), _ACKNOWLEDGED_AT
        )[0]
    except (OSError, struct.error):
        return 0
    return found


@lru_cache(maxsize=1024)
def _judged(name: str, value: str) -> Any:
    """Return what gunicorn makes of a header field; most fields are those of the answers before."""
    judged: Any = SimpleNamespace(headers=[], response_length=None)
    Response.process_headers(judged, [(name, value)])
    return judged


@lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    return util.http_date(second)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError(f"the file has {len(data)} bytes instead of {size}")
    return data
