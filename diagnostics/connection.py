"""An HTTP/1.1 client that notices what libraries hide: early answers, HTTP versions, and where a body stopped."""

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

PIECE_BYTES = 64 * 1024
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: header names in lower case, and the first bytes of the body, up to PIECE_BYTES of them."""

    status: int
    headers: dict[str, str]
    body: bytes
    local_port: int
    sent: int
    """Bytes of the request's body that were sent before the answer came."""

    @property
    def is_from_registry(self) -> bool:
        """Return whether the registry made this answer; a proxy's own pages lack its header."""
        return "docker-distribution-api-version" in self.headers

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object of the body; empty for anything else, such as a page of the proxy."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class BrokenError(Exception):
    """The connection ended without an answer, after `sent` bytes of the body and `seconds`."""

    def __init__(self, reason: str, sent: int, seconds: float) -> None:
        super().__init__(f"{reason} after {seconds:.0f} s and {sent:,} bytes of the body")
        self.sent = sent
        self.seconds = seconds


class Client:
    """Sends requests to one registry, each over a connection of its own."""

    def __init__(self, url: str, tls: ssl.SSLContext, timeout: float) -> None:
        self.url: SplitResult = urlsplit(url)
        self._tls = tls
        self._timeout = timeout

    def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] = (),
        length: int | None = None,
    ) -> Answer:
        """Send a request and return the answer, which may come before the whole body is sent.

        Without a `length`, a body is sent in chunks. Raises BrokenError; what the socket raises when it can't connect.
        """
        with self.exchange(method, target, headers, body, length) as (answer, response):
            return Answer(answer.status, answer.headers, response.read(PIECE_BYTES), answer.local_port, answer.sent)

    @contextmanager
    def exchange(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] = (),
        length: int | None = None,
    ) -> Iterator[tuple[Answer, IO[bytes]]]:
        """Send a request; yield its answer without a body, and the body's stream. Raises as `send`."""
        connection = self._connect()
        with closing(connection):
            connection.connect()
            local_port = connection.sock.getsockname()[1]
            sent, began = 0, time.monotonic()
            try:
                has_body = method in ("POST", "PUT", "PATCH")
                connection.putrequest(method, target, skip_accept_encoding=True)
                for name, value in (headers or {}).items():
                    connection.putheader(name, value)
                if has_body and length is None:
                    connection.putheader("Transfer-Encoding", "chunked")
                elif has_body:
                    connection.putheader("Content-Length", str(length))
                connection.endheaders()
                sent = _send_body(connection, body, is_chunked=has_body and length is None)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException, ValueError) as error:
                # ValueError: a request that can't be written, such as one to a malformed Location.
                reason = str(error) or type(error).__name__
                raise BrokenError(reason, getattr(error, "sent", sent), time.monotonic() - began) from error
            # A proxy may add a second field of a name; `getheader` joins them by commas.
            received = {name.lower(): response.getheader(name, "") for name in response.headers}
            try:
                yield Answer(response.status, received, b"", local_port, sent), response
            except (OSError, http.client.HTTPException) as error:
                reason = f"the answer ended early ({str(error) or type(error).__name__})"
                raise BrokenError(reason, sent, time.monotonic() - began) from error

    def _connect(self) -> http.client.HTTPConnection:
        host = self.url.hostname or ""
        # Given even if it is the default: otherwise http.client takes the end of an IPv6 address for the port.
        port = self.url.port or DEFAULT_PORTS[self.url.scheme]
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=self._timeout)


def place_of(url: str, scheme: str = "") -> tuple[str, int | None] | None:
    """Return host and port of a URL, or of a host if `scheme` is given; None for a malformed one."""
    try:
        parts = urlsplit(f"{scheme}://{url}" if scheme else url)
        return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _send_body(connection: http.client.HTTPConnection, body: Iterable[bytes], *, is_chunked: bool) -> int:
    """Send the pieces and return how many bytes; a peer that stops reading may have answered already."""
    sent = 0
    try:
        for piece in body:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            sent += len(piece)
        if is_chunked:
            connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    except OSError as error:
        error.sent = sent  # type: ignore[attr-defined]
        raise
    return sent
