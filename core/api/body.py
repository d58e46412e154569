"""Read request bodies. This is the only place that does.

Under gunicorn `request.read()` of a chunked body gives nothing, and no error; `wsgi.input` has the bytes.
"""

import errno
import io
from collections.abc import Callable

from django.http import HttpRequest
from gunicorn.http.errors import ParseException

from core.api.errors import ErrorCode, RegistryError

# What is read of a body that was refused already: a client that still writes when the connection ends sees a
# broken pipe instead of the answer.
DISCARDED_BYTES = 32 * 1024 * 1024


class Body:
    """The bytes of one request, in pieces; `length` in bytes is None for a chunked body."""

    def __init__(self, request: HttpRequest) -> None:
        """Read nothing yet. Raises RegistryError SIZE_INVALID for a Content-Length that is no number."""
        meta = request.META
        self._stream = meta["wsgi.input"]
        # The server's own way, without a copy; other servers and Django's test client have none.
        self._receive_into: Callable[[memoryview], int] | None = getattr(self._stream, "receive_into", None)
        self.length = None if meta.get("HTTP_TRANSFER_ENCODING") else _content_length(meta.get("CONTENT_LENGTH"))
        self.was_cut = False
        self.has_stalled = False
        self.was_refused = False
        self.is_malformed = False
        self._left = self.length
        # A client that waits for 100 Continue has sent nothing, and would send it all if it were read.
        self._is_awaited = "HTTP_EXPECT" in meta

    @property
    def is_empty(self) -> bool:
        """Tell whether the request says that it has no body."""
        return self.length == 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end; a client that went away sets `was_cut`.

        One that stood still for as long as the listener waits sets `has_stalled` too.
        """
        self._is_awaited = False
        if self._left is None:
            return self._read(size)
        wanted = 0 if self.was_cut else self._left if size < 0 else min(size, self._left)
        chunk = self._read(wanted) if wanted else b""
        self._left -= len(chunk)
        self.was_cut = self.was_cut or (not chunk and self._left > 0)
        return chunk

    def readinto(self, view: memoryview, /) -> int:
        """Put at most `len(view)` bytes into `view`, as many as are there; 0 at the end, as `read` says."""
        if self._receive_into is None:
            chunk = self.read(len(view))
            view[: len(chunk)] = chunk
            return len(chunk)
        if self.was_cut or self._left == 0:
            return 0
        self._is_awaited = False
        size = self._receive(self._receive_into, view if self._left is None else view[: self._left])
        if self._left is not None:
            self._left -= size
            if not size:
                self.was_cut = True
        return size

    def read_all(self) -> bytes:
        """Return the whole of a body with a length, less when it `was_cut`."""
        buffer = memoryview(bytearray(self.length or 0))
        size = 0
        while piece := self.readinto(buffer[size:]):
            size += piece
        return bytes(buffer[:size])

    def discard(self) -> None:
        """Read what is left of a body that was refused, at most DISCARDED_BYTES."""
        left = 0 if self._is_awaited else DISCARDED_BYTES
        while left > 0 and (chunk := self.read(64 * 1024)):
            left -= len(chunk)

    def put_back(self, payload: bytes) -> None:
        """Let `payload`, which was read, be what is read next."""
        self._stream, self._receive_into = io.BytesIO(payload), None
        self._left = len(payload)

    def _receive(self, receive_into: Callable[[memoryview], int], view: memoryview) -> int:
        try:
            return receive_into(view)
        except (OSError, ParseException) as error:
            self._notice(error)
            return 0

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except (OSError, ParseException) as error:
            is_first = not self.was_cut
            self._notice(error)
            # What came before is still in the server's buffer of chunks; a length's reader would only wait again.
            return self._read(size) if is_first and self._left is None else b""

    def _notice(self, error: Exception) -> None:
        """Remember why the body ended: a broken chunk, a reset, or somebody's patience ran out."""
        self.was_cut = True
        self.has_stalled = isinstance(error, BlockingIOError | TimeoutError)
        self.is_malformed = isinstance(error, ParseException)
        self.was_refused = getattr(error, "errno", None) == errno.EBUSY


def read_whole(request: HttpRequest, limit: int, too_large: RegistryError) -> bytes:
    """Return the body of `request`, at most `limit` bytes, counted while reading. Raises `too_large`, SIZE_INVALID."""
    body = Body(request)
    if body.length is not None and body.length > limit:
        body.discard()
        raise too_large
    pieces, size = [], 0
    while chunk := body.read(64 * 1024):
        size += len(chunk)
        if size > limit:
            body.discard()
            raise too_large
        pieces.append(chunk)
    if body.was_cut:
        raise cut_error(body, "the body ended before its length")
    return b"".join(pieces)


def cut_error(body: Body, detail: object) -> RegistryError:
    """Return the error for a body that ended too early: 408 for one that stood still (RFC 9110, 15.5.9).

    503 when the server has too many slow clients to wait for this one.
    """
    if body.was_refused:
        return too_many_slow_clients()
    if body.is_malformed:
        return RegistryError(ErrorCode.SIZE_INVALID, detail, message="the chunked body is malformed")
    return RegistryError(ErrorCode.SIZE_INVALID, detail, status=408 if body.has_stalled else None)


def too_many_slow_clients() -> RegistryError:
    """Return the 503 for a client that would have to be waited for, when too many are already."""
    return RegistryError(ErrorCode.UNAVAILABLE, "too many slow clients at once", headers={"Retry-After": "10"})


def _content_length(value: str | None) -> int:
    if not value:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise RegistryError(ErrorCode.SIZE_INVALID, "Content-Length is not a number of bytes")
    return int(value)
