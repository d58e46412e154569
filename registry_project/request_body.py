"""Request bodies, read from the socket straight into the buffer that is hashed and written.

gunicorn's own readers copy a body several times (419 MB a CPU-second at best, against 865 here for one with a
length). They stay behind these: for whatever is not the plain case, and for every check of what is malformed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData, ParseException

from registry_project.incoming import Incoming

RAW_BYTES = 1024 * 1024
# Enough for a slow client; hundreds of them need no more each.
FIRST_RAW_BYTES = 32 * 1024

# A chunk that has bytes, of a size line without extensions; the rest is for gunicorn's parser.
_SIZE_LINE = re.compile(rb"0{0,8}([1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")
_LONGEST_SIZE_LINE = 18
# The end of a chunk and such a size line.
_NEXT_CHUNK = re.compile(rb"\r\n" + _SIZE_LINE.pattern)


class Input(Protocol):
    """`wsgi.input` of a request: what PEP 3333 asks for, and `receive_into`."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...

    def readline(self, size: int = -1, /) -> bytes:
        """Return the next line, at most `size` bytes of it."""
        ...

    def readlines(self, hint: int = -1, /) -> list[bytes]:
        """Return all lines that are left."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines that are left."""
        ...

    def receive_into(self, view: memoryview, /) -> int:
        """Put what is there into `view`, wait only for the first byte; 0 at the end."""
        ...


class _Plain:
    """What WSGI asks for, by gunicorn's reader."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.read = body.read
        self.readline = body.readline
        self.readlines = body.readlines

    def __iter__(self) -> Any:
        return iter(self._body)


class LengthInput(_Plain):
    """A body with a Content-Length."""

    def __init__(self, body: Body, incoming: Incoming) -> None:
        """Read what gunicorn's `body` would."""
        super().__init__(body)
        self._reader: Any = body.reader
        self._incoming = incoming

    def receive_into(self, view: memoryview, /) -> int:
        """Put what is there into `view`. Raises OSError when the client stands still; 0 also when it went away."""
        wanted = min(len(view), self._reader.length)
        if not wanted:
            return 0
        if ahead := self._incoming.take(wanted):
            view[: len(ahead)] = ahead
            size = len(ahead)
        else:
            size = self._incoming.chunk_into(view[:wanted])
        self._reader.length -= size
        return size


class ChunkedInput(_Plain):
    """A chunked body (RFC 9112, 7.1): plain chunks are decoded here, the last one and all others by gunicorn."""

    def __init__(self, body: Body, incoming: Incoming) -> None:
        """Read what gunicorn's `body` would."""
        super().__init__(body)
        self._incoming = incoming
        self._buffer = bytearray()
        self._raw = memoryview(self._buffer)
        self._start = self._end = 0
        self._left = 0
        self._is_inside = False
        self._is_plain = False
        self._error: Exception | None = None

    def receive_into(self, view: memoryview, /) -> int:
        """Put what is there into `view`. Raises OSError and gunicorn's ParseException for a body that is broken."""
        if self._error is not None:
            return self._read_rest(view, self._error)
        if not self._is_plain and not self._raw:
            self._grow_to(FIRST_RAW_BYTES)
            # Until the end is met, where the next request would begin is not known.
            self._body.failed = True
        size = 0
        try:
            while not self._is_plain and size < len(view):
                if self._is_inside:
                    size += self._copy_chunks(view[size:])
                if size and (self._start == self._end or size == len(view)):
                    break
                size += self._step(view[size:])
        except (OSError, ParseException) as error:
            # What came before is kept: an upload may be resumed behind it.
            self._error = error
            if not size:
                raise
        return size or self._read_plain(view)

    def _step(self, view: memoryview) -> int:
        if self._left:
            return self._copy(view)
        if self._is_inside:
            self._leave_chunk()
        else:
            self._enter_chunk()
        return 0

    def _copy_chunks(self, view: memoryview) -> int:
        """Copy from within a chunk on what is there of it and of the plain ones that follow."""
        raw, start, end, left = self._raw, self._start, self._end, self._left
        size, room = 0, len(view)
        while True:
            piece = min(left, end - start, room - size)
            view[size : size + piece] = raw[start : start + piece]
            start, size, left = start + piece, size + piece, left - piece
            if left or (found := _NEXT_CHUNK.match(self._buffer, start, end)) is None:
                break
            start, left = found.end(), int(found[1], 16)
        self._start, self._left = start, left
        return size

    def _copy(self, view: memoryview) -> int:
        if self._start == self._end:
            self._fill()
        size = min(self._left, self._end - self._start, len(view))
        view[:size] = self._raw[self._start : self._start + size]
        self._start += size
        self._left -= size
        return size

    def _leave_chunk(self) -> None:
        with suppress(NoMoreData):
            while self._end - self._start < 2:
                self._fill()
        end = bytes(self._raw[self._start : self._start + 2])
        if end != b"\r\n":
            raise ChunkMissingTerminator(end)
        self._start += 2
        self._is_inside = False

    def _enter_chunk(self) -> None:
        line = bytes(self._raw[self._start : min(self._end, self._start + _LONGEST_SIZE_LINE)])
        found = _SIZE_LINE.match(line)
        if found is not None:
            self._start += found.end()
            self._left, self._is_inside = int(found[1], 16), True
        elif b"\n" in line or len(line) == _LONGEST_SIZE_LINE:
            self._hand_over()
        else:
            self._fill()

    def _fill(self) -> None:
        """Add what is there to the raw bytes. Raises NoMoreData at the end of the stream."""
        left = bytes(self._raw[self._start : self._end])
        if self._end == len(self._raw) < RAW_BYTES:
            self._grow_to(2 * self._end)
        rest = len(left)
        self._raw[:rest] = left
        self._start, self._end = 0, rest
        if ahead := self._incoming.take(len(self._raw) - rest):
            self._raw[rest : rest + len(ahead)] = ahead
            size = len(ahead)
        else:
            size = self._incoming.chunk_into(self._raw[rest:])
        if not size:
            raise NoMoreData
        self._end += size

    def _grow_to(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._raw = memoryview(self._buffer)

    def _hand_over(self) -> None:
        """Give gunicorn's parser, which has not begun, the bytes from this chunk's size line on."""
        self._incoming.unread(bytes(self._raw[self._start : self._end]))
        self._raw = memoryview(b"")
        self._start = self._end = 0
        self._is_plain = True
        self._body.failed = False

    def _read_plain(self, view: memoryview) -> int:
        try:
            data = self._body.read(len(view)) if len(view) else b""
        except (OSError, ParseException) as error:
            self._error = error
            return self._read_rest(view, error)
        view[: len(data)] = data
        return len(data)

    def _read_rest(self, view: memoryview, error: Exception) -> int:
        """Put what gunicorn's buffers still hold into `view`, where its parser has ended; then raise the error."""
        data = self._body.read(len(view)) if self._is_plain else b""
        if not data:
            raise error
        view[: len(data)] = data
        return len(data)


class AwaitedInput:
    """The body of a client that expects 100 Continue, which is sent before the first read (RFC 9110, 10.1.1).

    What method, path and header fields decide is thereby the final status, and no byte of the body is sent for it.
    """

    def __init__(self, stream: Input, send_100_continue: Callable[[], None]) -> None:
        """Read from `stream`; `send_100_continue` is called before each read and does nothing but the first time."""
        self._stream = stream
        self._send_100_continue = send_100_continue

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        self._send_100_continue()
        return self._stream.read(size)

    def readline(self, size: int = -1, /) -> bytes:
        """Return the next line."""
        self._send_100_continue()
        return self._stream.readline(size)

    def readlines(self, hint: int = -1, /) -> list[bytes]:
        """Return all lines that are left."""
        self._send_100_continue()
        return self._stream.readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        self._send_100_continue()
        return iter(self._stream)

    def receive_into(self, view: memoryview, /) -> int:
        """Put what is there into `view`, wait only for the first byte; 0 at the end."""
        self._send_100_continue()
        return self._stream.receive_into(view)


def fast_input(body: Body, incoming: Incoming) -> Input | None:
    """Return a faster way to read `body`, None when there is none."""
    if isinstance(body.reader, LengthReader):
        return LengthInput(body, incoming)
    return ChunkedInput(body, incoming) if isinstance(body.reader, ChunkedReader) else None
