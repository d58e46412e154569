"""Request bodies, read from the socket straight into the buffer that is hashed and written.

gunicorn's own readers copy a body several times: 419 MB per CPU-second at best, against 865 here with a length. Its
chunked reader copies the whole read-ahead for each chunk.
"""

import io
import re
from collections.abc import Callable
from typing import Any

from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkExtension,
    InvalidChunkSize,
    InvalidHeader,
    LimitRequestHeaders,
    NoMoreData,
    ParseException,
)

from server.reader import Reader

RAW_BYTES = 1024 * 1024
# Enough for a slow client, of which there may be hundreds.
FIRST_RAW_BYTES = 32 * 1024

# The limit of a header field, for a size line with its extensions and for the trailer section.
MAX_LINE_BYTES = MAX_TRAILER_BYTES = 8190
# How far all size lines together may exceed 16 bytes plus twice the data, each: so discarded bytes are bounded by
# kept ones. The numbers are those of Go's net/http.
MAX_EXCESS_BYTES = 16 * 1024

# RFC 9112, 7.1: `chunk-size [ chunk-ext ] CRLF`, with at most the digits of 64 bits. Possessive quantifiers prevent
# backtracking.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?+"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:" + _EXTENSION + rb")*+\r\n")
# The end of a chunk and the size line of a non-empty one: without extensions, or too short to count as excess.
_NEXT_CHUNK = re.compile(rb"\r\n0{0,8}([1-9A-Fa-f][0-9A-Fa-f]{0,7})\r\n")
_NEXT_EXTENDED = re.compile(rb"\r\n([1-9A-Fa-f][0-9A-Fa-f]{0,7});[A-Za-z0-9]{1,5}\r\n")

# Chunks of one size are received in place, from this size on and so many at once.
MIN_SCATTERED_BYTES = 4096
MAX_SCATTERED = 256
# How often the prediction of the size may fail in one body: each failure copies what was received once more.
MAX_MISSES = 4

_BARE_LF = re.compile(rb"(?<!\r)\n")


class Decoder(io.RawIOBase):
    """A body without its framing."""

    has_failed = False
    """Whether the body is truncated or malformed, so that the start of the next request is unknown."""
    is_finished = False
    """Whether the whole body was read, so that the next request follows."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, view: Any, /) -> int:
        """Read the available bytes into `view`; wait only for the first; 0 means end of file."""
        raise NotImplementedError


class LengthDecoder(Decoder):
    """A body with a Content-Length."""

    def __init__(self, reader: Reader, length: int) -> None:
        self._reader = reader
        self._left = length
        self.is_finished = not length

    def readinto(self, view: Any, /) -> int:
        """Read the available bytes into `view`. Raises OSError for a stalled client; 0 also if it disconnects."""
        wanted = min(len(view), self._left)
        if not wanted:
            return 0
        # `read()` passes a bytearray, whose slices are copies.
        view = memoryview(view)
        # In case the read raises.
        self.has_failed = True
        if ahead := self._reader.take(wanted):
            view[: len(ahead)] = ahead
            size = len(ahead)
        else:
            size = self._reader.chunk_into(view[:wanted])
        self._left -= size
        self.has_failed, self.is_finished = not size, not self._left
        return size


class ChunkDecoder(Decoder):
    """A chunked body (RFC 9112, 7.1), decoded in time and memory linear in the input.

    Bytes beyond the end of the body go back to the reader.
    """

    def __init__(self, reader: Reader, check_trailers: Callable[[bytes], object]) -> None:
        """Take the reader, and a check that raises ParseException for malformed trailers."""
        self._reader = reader
        self._check_trailers = check_trailers
        self._buffer = bytearray()
        self._raw = memoryview(self._buffer)
        self._start = self._end = 0
        # The bytes left of the chunk: 0 inside before its last CRLF, 0 outside before the next size line.
        self._left = 0
        self._is_inside = self._is_behind_last = False
        self._excess = 0
        # What precedes the next chunk, if that has as many bytes as the last one; None for small chunks.
        self._line: bytes | None = None
        self._size = self._misses = 0
        self._lines = memoryview(b"")
        self._error: Exception | None = None

    def readinto(self, view: Any, /) -> int:
        """Read the available bytes into `view`; wait only for the first; 0 means end of file.

        Raises OSError (NoMoreData is one) and ParseException, each only after all data before the error was read: an
        upload can resume there.
        """
        if self._error is not None:
            raise self._error
        view, size = memoryview(view), 0
        try:
            while not self.is_finished and size < len(view):
                if self._is_inside:
                    size += self._copy_chunks(view[size:])
                if size == len(view) or self._advance():
                    continue
                if size:
                    break
                if self._is_regular:
                    size = self._scatter(view)
                else:
                    self._fill()
        except (OSError, ParseException) as error:
            self._error, self.has_failed = error, True
            if not size:
                raise
        return size

    def _copy_chunks(self, view: memoryview) -> int:
        """Copy the available data of this chunk, and of the next ones with short size lines."""
        buffer, raw, start, end, left = self._buffer, self._raw, self._start, self._end, self._left
        size, room, match = 0, len(view), _NEXT_CHUNK.match
        while True:
            piece = min(left, end - start, room - size)
            view[size : size + piece] = raw[start : start + piece]
            start, size, left = start + piece, size + piece, left - piece
            if left:
                break
            found = match(buffer, start, end) or _NEXT_EXTENDED.match(buffer, start, end)
            if found is None:
                break
            start, left = found.end(), int(found[1], 16)
            self._line, self._size = found[0], left
        self._start, self._left = start, left
        return size

    @property
    def _is_regular(self) -> bool:
        """Whether to receive in place: inside large chunks, with nothing read ahead."""
        if self._line is None or self._size < MIN_SCATTERED_BYTES or self._misses > MAX_MISSES:
            return False
        return self._is_inside and self._start == self._end and not self._reader.is_ahead

    def _scatter(self, view: memoryview) -> int:
        """Receive the rest of this chunk and the next ones into `view`, and their size lines into another buffer.

        docker sends chunks of 32 KiB: with their size lines predicted, nothing is copied. From the first other line on,
        the bytes are pushed back and decoded one chunk at a time. Raises NoMoreData at end of file.
        """
        line, size, left = self._line or b"", self._size, self._left
        width, at = len(line), left
        if len(self._lines) < MAX_SCATTERED * width:
            self._lines = memoryview(bytearray(MAX_SCATTERED * width))
        lines, parts = self._lines, [view[:left]] if left else []
        for start in range(0, MAX_SCATTERED * width, width):
            if at >= len(view):
                break
            parts += (lines[start : start + width], view[at : at + size])
            at += size
        received = self._reader.scatter_into(parts)
        if not received:
            raise NoMoreData
        if received <= left:
            self._left -= received
            return received
        chunks, rest = divmod(received - left, width + size)
        whole = chunks + (rest >= width)
        if lines[: whole * width] != line * whole:
            return self._miss(parts, received)
        # The chunk that has begun is incomplete, or its size line is.
        begun = max(0, rest - width)
        self._left = size - begun if rest >= width else 0
        if rest < width:
            self._reader.unread(bytes(lines[whole * width : whole * width + rest]))
        return left + chunks * size + begun

    def _miss(self, parts: list[memoryview], received: int) -> int:
        """Push back what came from the first unexpected size line on, and return the number of bytes before it."""
        line, size, left = self._line or b"", self._size, self._left
        count = 0
        while self._lines[count * len(line) : (count + 1) * len(line)] == line:
            count += 1
        stream = b"".join(parts)[:received]
        self._reader.unread(stream[left + count * (len(line) + size) :])
        self._left, self._line = 0, None
        self._misses += 1
        return left + count * size

    def _advance(self) -> bool:
        """Consume one line of the framing; False means that it is incomplete."""
        if self._left:
            return False
        if self._is_inside:
            return self._leave_chunk()
        return self._read_trailers() if self._is_behind_last else self._enter_chunk()

    def _leave_chunk(self) -> bool:
        line = bytes(self._raw[self._start : min(self._start + 2, self._end)])
        if line != b"\r\n":
            if b"\r\n".startswith(line):
                return False
            raise ChunkMissingTerminator(line)
        self._start += 2
        self._is_inside = False
        return True

    def _enter_chunk(self) -> bool:
        line = self._until(b"\r\n", MAX_LINE_BYTES)
        if line is None:
            if self._end - self._start > MAX_LINE_BYTES:
                raise InvalidChunkSize(b"line over %d bytes with no terminator" % MAX_LINE_BYTES)
            return False
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise InvalidChunkSize(line[:32])
        self._left = int(found[1], 16)
        self._excess = max(0, self._excess + len(line) + 2 - 16 - 2 * self._left)
        if self._excess > MAX_EXCESS_BYTES:
            raise InvalidChunkExtension("the extensions are much longer than the data")
        self._is_inside, self._is_behind_last = self._left > 0, not self._left
        return True

    def _read_trailers(self) -> bool:
        if self._buffer.startswith(b"\r\n", self._start, self._end):
            self._start += 2
        else:
            section = self._until(b"\r\n\r\n", MAX_TRAILER_BYTES)
            if section is None:
                if self._end - self._start > MAX_TRAILER_BYTES:
                    raise LimitRequestHeaders("limit request trailer section size")
                return False
            self._check_trailers(section[:-4])
        self._reader.unread(bytes(self._raw[self._start : self._end]))
        self._buffer, self._raw = bytearray(), memoryview(b"")
        self.is_finished = True
        return True

    def _until(self, end: bytes, at_most: int) -> bytes | None:
        """Consume and return the bytes up to and including `end`; None means it is missing."""
        found = self._buffer.find(end, self._start, min(self._end, self._start + at_most + len(end)))
        if found < 0:
            if _BARE_LF.search(self._buffer, self._start, self._end):
                raise InvalidHeader("bare LF as line terminator")
            return None
        start, self._start = self._start, found + len(end)
        return bytes(self._raw[start : self._start])

    def _fill(self) -> None:
        """Read the available bytes into the buffer. Raises NoMoreData at end of file."""
        rest = bytes(self._raw[self._start : self._end])
        if self._end == len(self._raw) < RAW_BYTES:
            self._buffer = bytearray(2 * self._end or FIRST_RAW_BYTES)
            self._raw = memoryview(self._buffer)
        self._raw[: len(rest)] = rest
        self._start, self._end = 0, len(rest)
        if ahead := self._reader.take(len(self._raw) - self._end):
            self._raw[self._end : self._end + len(ahead)] = ahead
            size = len(ahead)
        else:
            size = self._reader.chunk_into(self._raw[self._end :])
        if not size:
            raise NoMoreData
        self._end += size


class AwaitedDecoder(Decoder):
    """A body that asks for 100 Continue before the first read (RFC 9110, 10.1.1).

    So a request that method, path or header fields decide is refused before the client sends the body.
    """

    def __init__(self, decoder: Decoder, send_100_continue: Callable[[], None]) -> None:
        """Read from `decoder`, and call `send_100_continue`, which is idempotent, before each read."""
        self._decoder = decoder
        self._send_100_continue = send_100_continue

    def readinto(self, view: Any, /) -> int:
        """Read the available bytes into `view`, as the other decoder does."""
        self._send_100_continue()
        return self._decoder.readinto(view)


class BodyInput(io.BufferedReader):
    """The `wsgi.input` of PEP 3333, and `receive_into`."""

    raw: Decoder

    def receive_into(self, view: memoryview, /) -> int:
        """Read the available bytes into `view`. Raises OSError, and ParseException for a malformed body."""
        return self.readinto1(view)

    @property
    def failed(self) -> bool:
        """Tell whether the start of the next request is unknown."""
        return self.raw.has_failed

    @property
    def is_finished(self) -> bool:
        """Tell whether the whole body was read."""
        return self.raw.is_finished


class _Nothing(Decoder):
    is_finished = True

    def readinto(self, view: Any, /) -> int:
        return 0


class _NoBody(BodyInput):
    def close(self) -> None:
        """Stay open: all requests without a body share it."""


NO_BODY = _NoBody(_Nothing())
"""The body of every request without one; a new object for each would cost 2 µs."""
