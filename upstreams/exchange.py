"""One request to another registry, over a connection to an address that was checked after its name was resolved."""

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from core.outgoing import addresses

USER_AGENT = "registry-proxy/1"
WHOLE_SECONDS = 60.0
"""For a document with its redirects and its token, however often a byte of it comes; for the head of a blob too."""

MIN_BYTES_PER_SECOND = 1024
"""Of a blob, on the average, after WHOLE_SECONDS."""


class UpstreamError(Exception):
    """The upstream does not answer, or not as a registry does; the message is for people."""


class MissingError(UpstreamError):
    """The upstream does not have it, or does not show it to this account."""


class UnreachableError(UpstreamError):
    """The upstream can't be connected to, or does not answer at all."""


class LimitedError(UpstreamError):
    """The registry, or another host that it leads to, allows no more requests for now; `retry_after` is in seconds.

    The message names no host: it is for clients too.
    """

    def __init__(self, reason: str, retry_after: int, *, is_of_registry: bool = True) -> None:
        super().__init__(reason)
        self.retry_after, self.is_of_registry = retry_after, is_of_registry


@dataclass(frozen=True, slots=True)
class Reach:
    """How a registry is reached; `ca_file` has further certificate authorities, "" for none."""

    ca_file: str = ""
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    allow_private: bool = False


class Incoming(io.RawIOBase):
    """The bytes that come over a connection: until a deadline, or at a minimum rate once that is lifted."""

    def __init__(self, sock: socket.socket, read_seconds: float, until: float) -> None:
        self._socket, self._read_seconds, self._until = sock, read_seconds, until
        self._seconds_per_byte = 0.0

    def readable(self) -> bool:
        return True

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the file that http.client asks a socket for."""
        return io.BufferedReader(self, 64 * 1024)

    def lift_deadline(self) -> None:
        self._until, self._seconds_per_byte = time.monotonic() + WHOLE_SECONDS, 1 / MIN_BYTES_PER_SECOND

    def readinto(self, view: Any, /) -> int:
        """Read available bytes into `view`. Raises OSError."""
        # Here, since the readers above wait until they have what they want, or a whole line.
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("it sends too slowly")
        self._socket.settimeout(min(self._read_seconds, left))
        size = self._socket.recv_into(view)
        self._until += size * self._seconds_per_byte
        return size


class Exchange:
    """A response whose body is read in pieces; it is closed by its reader."""

    def __init__(self, response: http.client.HTTPResponse, incoming: Incoming, sock: socket.socket, url: str) -> None:
        self._response, self._incoming, self._socket = response, incoming, sock
        self.url, self.status, self.headers = url, response.status, response.headers
        self.size = response.length
        """The Content-Length; None for a chunked body."""

    def readinto(self, view: memoryview) -> int:
        """Read available bytes into `view` and return their number, 0 at the end. Raises UpstreamError."""
        try:
            size = self._response.readinto(view)
        except (OSError, http.client.HTTPException) as error:
            raise UpstreamError(f"{_origin(self.url)} broke off: {_reason(error)}") from error
        if not size and len(view) and self._response.length:
            # http.client takes an early end for the end of the body.
            raise UpstreamError(f"{_origin(self.url)} broke off {self._response.length} bytes before the end")
        return size

    def whole(self, limit: int) -> bytes:
        """Return the body. Raises UpstreamError, also for one of more than `limit` bytes."""
        found, buffer = bytearray(), memoryview(bytearray(64 * 1024))
        while size := self.readinto(buffer):
            found += buffer[:size]
            if len(found) > limit:
                raise UpstreamError(f"{_origin(self.url)} sent more than {limit} bytes")
        return bytes(found)

    def lift_deadline(self) -> None:
        """Let the body take as long as it comes at MIN_BYTES_PER_SECOND."""
        self._incoming.lift_deadline()

    def close(self) -> None:
        self._response.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()


def send(
    method: str, url: str, headers: Mapping[str, str], reach: Reach, until: float, *, allow_http: bool
) -> Exchange:
    """Send a request without a body and return the response, whatever its status. Raises UpstreamError.

    Redirects are not followed. Everything has to be there at `until`, a monotonic time.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise UpstreamError(f"{_origin(url)} is not asked: what led to it took too long")
    try:
        target = addresses.check_url(url, allow_http=allow_http, allow_private=reach.allow_private)
        address = addresses.resolve(target, allow_private=reach.allow_private)
        sock = _connected(target, address, reach, left)
    except addresses.RefusedAddressError as error:
        raise UnreachableError(f"{_origin(url)} is not asked: {error}") from error
    except (OSError, UnicodeError) as error:
        raise UnreachableError(f"{_origin(url)} can't be reached: {_reason(error)}") from error
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    try:
        sent = {
            "Host": target.host_header,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        connection.request(method, target.path, headers=sent | dict(headers))
        incoming = Incoming(sock, reach.read_seconds, until)
        response = http.client.HTTPResponse(incoming, method=method)  # type: ignore[arg-type]  # its file is all it uses
        response.begin()
        return Exchange(response, incoming, sock, url)
    except (OSError, http.client.HTTPException, ValueError) as error:
        sock.close()
        raise UnreachableError(f"{_origin(url)} does not answer: {_reason(error)}") from error


def _connected(target: addresses.Target, address: str, reach: Reach, left: float) -> socket.socket:
    plain = socket.create_connection((address, target.port), min(reach.connect_seconds, left))
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(min(reach.read_seconds, left))
        if target.scheme == "http":
            return plain
        changed = os.stat(reach.ca_file).st_mtime_ns if reach.ca_file else 0  # noqa: PTH116 - one call
        return _context(reach.ca_file, changed).wrap_socket(plain, server_hostname=target.host)
    except BaseException:
        with closing(plain):
            raise


@lru_cache(maxsize=64)
def _context(ca_file: str, _changed: int) -> ssl.SSLContext:
    """Return the authorities of the system with those of a file: the upstream may redirect to a public cloud."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _origin(url: str) -> str:
    """Return the URL without what may be a signature."""
    return "/".join(url.split("/", 3)[:3])


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
