"""Request bodies, which are read only here.

Under gunicorn `request.read()` of a chunked body returns nothing, and no error; `wsgi.input` has the bytes.
"""

import errno
import io
from collections.abc import Callable

from gunicorn.http.errors import ParseException

from core.api.errors import ErrorCode, RegistryError
from core.api.notes import HasMeta

# How much of a refused body is read: a client that is still writing when the connection ends gets a broken pipe
# instead of the response.
DISCARDED_BYTES = 32 * 1024 * 1024


class Body:
    """The bytes of one request, in pieces; `length` in bytes is None for a chunked body."""

    def __init__(self, request: HasMeta) -> None:
        """Read nothing yet. Raises SIZE_INVALID for a malformed Content-Length."""
        meta = request.META
        self._stream = meta["wsgi.input"]
        # The server's zero-copy method, which other servers and Django's test client lack.
        self._receive_into: Callable[[memoryview], int] | None = getattr(self._stream, "receive_into", None)
        self.length: int | None = None
        if not meta.get("HTTP_TRANSFER_ENCODING"):
            length = meta.get("CONTENT_LENGTH") or "0"
            if not (length.isascii() and length.isdigit() and len(length) <= 18):
                raise RegistryError(ErrorCode.SIZE_INVALID, "Content-Length is not a number of bytes")
            self.length = int(length)
        self.is_incomplete = False
        self.has_stalled = False
        self.was_refused = False
        self.is_malformed = False
        self._left = self.length
        # A client that waits for 100 Continue has sent nothing; a read would make it send the whole body.
        self._awaits_continue = "HTTP_EXPECT" in meta

    @property
    def is_empty(self) -> bool:
        """Whether the request has no body."""
        return self.length == 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end; an early end sets `is_incomplete`.

        A client that sends nothing for the listener's timeout sets `has_stalled` too.
        """
        self._awaits_continue = False
        if self._left is None:
            return self._read(size)
        wanted = 0 if self.is_incomplete else self._left if size < 0 else min(size, self._left)
        chunk = self._read(wanted) if wanted else b""
        self._left -= len(chunk)
        self.is_incomplete = self.is_incomplete or (not chunk and self._left > 0)
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        """Read available bytes into `view` and return their number; 0 at the end, as in `read`."""
        if self._receive_into is None:
            chunk = self.read(len(view))
            view[: len(chunk)] = chunk
            return len(chunk)
        if self.is_incomplete or self._left == 0:
            return 0
        self._awaits_continue = False
        try:
            size = self._receive_into(view if self._left is None else view[: self._left])
        except (OSError, ParseException) as error:
            self._record(error)
            return 0
        if self._left is not None:
            self._left -= size
            if not size:
                self.is_incomplete = True
        return size

    def read_all(self) -> bytes:
        """Return a whole body with a length, less if it `is_incomplete`."""
        buffer = memoryview(bytearray(self.length or 0))
        size = 0
        while piece := self.readinto(buffer[size:]):
            size += piece
        return bytes(buffer[:size])

    def discard(self) -> None:
        """Read the rest of a refused body, at most DISCARDED_BYTES."""
        left = 0 if self._awaits_continue else DISCARDED_BYTES
        while left > 0 and (chunk := self.read(64 * 1024)):
            left -= len(chunk)

    def put_back(self, payload: bytes) -> None:
        """Push `payload`, which was read, back for the next read."""
        self._stream, self._receive_into = io.BytesIO(payload), None
        self._left = len(payload)

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except (OSError, ParseException) as error:
            is_first = not self.is_incomplete
            self._record(error)
            # The server's chunk buffer may still have bytes from before; a body with a length would only wait again.
            return self._read(size) if is_first and self._left is None else b""

    def _record(self, error: Exception) -> None:
        """Record why the body ended: a malformed chunk, a reset, or a timeout."""
        self.is_incomplete = True
        self.has_stalled = isinstance(error, BlockingIOError | TimeoutError)
        self.is_malformed = isinstance(error, ParseException)
        self.was_refused = getattr(error, "errno", None) == errno.EBUSY


def read_whole(request: HasMeta, limit: int) -> bytes | None:
    """Return the body of `request`, None if it has more than `limit` bytes, counted while reading.

    Raises SIZE_INVALID.
    """
    body = Body(request)
    if body.length is not None and body.length > limit:
        body.discard()
        return None
    pieces, size = [], 0
    while chunk := body.read(64 * 1024):
        size += len(chunk)
        if size > limit:
            body.discard()
            return None
        pieces.append(chunk)
    if body.is_incomplete:
        raise incomplete_error(body, "the body ended before its length")
    return b"".join(pieces)


def incomplete_error(body: Body, detail: object) -> RegistryError:
    """Return the error for an incomplete body: 408 after a timeout (RFC 9110, 15.5.9).

    503 when the server already waits for too many slow clients.
    """
    if body.was_refused:
        return too_many_slow_clients()
    if body.is_malformed:
        return RegistryError(ErrorCode.SIZE_INVALID, detail, message="the chunked body is malformed")
    return RegistryError(ErrorCode.SIZE_INVALID, detail, status=408 if body.has_stalled else None)


def too_many_slow_clients() -> RegistryError:
    """Return the 503 for a slow client when the server already waits for too many."""
    return RegistryError(ErrorCode.UNAVAILABLE, "too many slow clients at once", headers={"Retry-After": "10"})
