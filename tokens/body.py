"""Read request bodies. This is the only place that does.

Under gunicorn `request.read()` of a chunked body gives nothing, and no error; `wsgi.input` has the bytes.
"""

from django.http import HttpRequest
from gunicorn.http.errors import ParseException

from tokens.errors import ErrorCode, RegistryError

# What is read of a body that was refused already: a client that still writes when the connection ends sees a
# broken pipe instead of the answer.
DISCARDED_BYTES = 32 * 1024 * 1024


class Body:
    """The bytes of one request, in pieces; `length` in bytes is None for a chunked body."""

    def __init__(self, request: HttpRequest) -> None:
        """Read nothing yet. Raises RegistryError SIZE_INVALID for a Content-Length that is no number."""
        meta = request.META
        self._stream = meta["wsgi.input"]
        self.length = None if meta.get("HTTP_TRANSFER_ENCODING") else _content_length(meta.get("CONTENT_LENGTH"))
        self.was_cut = False
        self.has_stalled = False
        self._left = self.length

    @property
    def is_empty(self) -> bool:
        """Tell whether the request says that it has no body."""
        return self.length == 0

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end; a client that went away sets `was_cut`.

        One that stood still for as long as the listener waits sets `has_stalled` too.
        """
        if self._left is None:
            return self._read(size)
        wanted = 0 if self.was_cut else self._left if size < 0 else min(size, self._left)
        chunk = self._read(wanted) if wanted else b""
        self._left -= len(chunk)
        self.was_cut = self.was_cut or (not chunk and self._left > 0)
        return chunk

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except (OSError, ParseException) as error:
            # A broken chunk, a reset, or the listener's patience ran out.
            is_first, self.was_cut = not self.was_cut, True
            self.has_stalled = isinstance(error, BlockingIOError | TimeoutError)
            # What came before is still in the server's buffer of chunks; a length's reader would only wait again.
            return self._read(size) if is_first and self._left is None else b""


def read_whole(request: HttpRequest, limit: int, too_large: RegistryError) -> bytes:
    """Return the body of `request`, at most `limit` bytes, counted while reading. Raises `too_large`, SIZE_INVALID."""
    body = Body(request)
    if body.length is not None and body.length > limit:
        _discard(body)
        raise too_large
    pieces, size = [], 0
    while chunk := body.read(64 * 1024):
        size += len(chunk)
        if size > limit:
            _discard(body)
            raise too_large
        pieces.append(chunk)
    if body.was_cut:
        raise cut_error(body, "the body ended before its length")
    return b"".join(pieces)


def _discard(body: Body) -> None:
    left = DISCARDED_BYTES
    while left > 0 and (chunk := body.read(64 * 1024)):
        left -= len(chunk)


def cut_error(body: Body, detail: object) -> RegistryError:
    """Return the error for a body that ended too early: 408 for one that stood still (RFC 9110, 15.5.9)."""
    return RegistryError(ErrorCode.SIZE_INVALID, detail, status=408 if body.has_stalled else None)


def _content_length(value: str | None) -> int:
    if not value:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise RegistryError(ErrorCode.SIZE_INVALID, "Content-Length is not a number of bytes")
    return int(value)
