"""Answers of HTTP/1.1 on a keep-alive connection, read strictly and with as little work as that takes."""

# A chunk's size and a trailer stand in one line each.
LINE_MAX_BYTES = 8 * 1024
HEAD_MAX_BYTES = 64 * 1024
LINE_END = b"\r\n"


class ResponseError(Exception):
    """What came is not exactly one whole answer."""


class Response:
    """An answer. `length` is that of the body, or the one an answer without body declares."""

    __slots__ = ("body", "head", "length", "status")

    def __init__(self, status: int, head: bytes) -> None:
        """Begin an answer whose body is still to come."""
        self.status = status
        self.head = head
        self.length = 0
        self.body = bytearray()

    def header(self, name: str) -> str:
        """Return the value of a header, empty when there is none."""
        mark = b"\r\n%b:" % name.lower().encode()
        start = self.head.lower().find(mark)
        if start < 0:
            return ""
        start += len(mark)
        end = self.head.find(LINE_END, start)
        return self.head[start : end if end >= 0 else None].strip().decode("latin-1")

    @property
    def will_close(self) -> bool:
        """Whether the server closes the connection after this answer."""
        return self.header("Connection").lower() == "close"


class Reader:
    """Takes the bytes of one answer as they come, in pieces of any size; `response` is whole when `is_complete`.

    The body is thrown away, except when it is to be kept and that of an error, which says what is wrong.
    """

    def __init__(self, *, is_head: bool = False, keep: bool = False) -> None:
        """Wait for an answer, which has no body when it is one to HEAD."""
        self.is_complete = False
        self.remaining = 0
        self._is_head = is_head
        self._keep = keep
        self._pending = b""
        self._response: Response | None = None
        self._is_chunked = False
        self._is_trailer = False

    @property
    def response(self) -> Response:
        """The answer, whose head is there. Raises ResponseError before."""
        if self._response is None:
            raise ResponseError("no head of an answer has come")
        return self._response

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises ResponseError: not HTTP/1.1, no length, or bytes after the end."""
        if self._response is None:
            data = self._take_head(data)
        if data and not self.is_complete:
            data = self._take_chunks(data) if self._is_chunked else self._take_body(data)
        if data and self.is_complete:
            raise ResponseError(f"{len(data)} bytes after the end of an answer")

    @property
    def skippable(self) -> int:
        """How many of the next bytes belong to a body that nobody wants."""
        return 0 if self._keep or self._is_chunked else self.remaining

    def skip(self, count: int) -> None:
        """Count bytes that were received elsewhere, at most `skippable`."""
        self.remaining -= count
        self.is_complete = not self.remaining

    def end(self) -> ResponseError:
        """Return the error that the end of the stream is now."""
        where = "before an answer" if self._response is None and not self._pending else "in the middle of an answer"
        return ResponseError(f"the server closed the connection {where}")

    def _take_head(self, data: bytes) -> bytes:
        pending = self._pending + data
        end = pending.find(b"\r\n\r\n")
        if end < 0:
            if len(pending) > HEAD_MAX_BYTES:
                raise ResponseError(f"the head of an answer has more than {HEAD_MAX_BYTES} bytes")
            self._pending = pending
            return b""
        self._pending = b""
        self._begin(pending[:end])
        return pending[end + 4 :]

    def _begin(self, head: bytes) -> None:
        version, _, rest = head.partition(b" ")
        if version != b"HTTP/1.1" or not rest[:3].isdigit():
            raise ResponseError(f"not a status line of HTTP/1.1: {head[:40]!r}")
        response = self._response = Response(int(rest[:3]), head)
        length = response.header("Content-Length")
        if length:
            response.length = _number(length, 10, "Content-Length")
        self._keep = self._keep or response.status >= 400
        if self._is_head or response.status < 200 or response.status in {204, 304}:
            self.is_complete = True
        elif length:
            self.remaining = response.length
            self.is_complete = not response.length
        elif response.header("Transfer-Encoding").lower() == "chunked":
            self._is_chunked = True
        else:
            raise ResponseError("an answer with neither Content-Length nor chunks")

    def _take_body(self, data: bytes) -> bytes:
        part = data[: self.remaining]
        self.skip(len(part))
        if self._keep:
            self.response.body += part
        return data[len(part) :]

    def _take_chunks(self, data: bytes) -> bytes:
        pending = self._pending + data
        while pending and not self.is_complete:
            if self.remaining:
                pending = self._take_chunk(pending)
                continue
            line, found, rest = pending.partition(LINE_END)
            if len(line) > LINE_MAX_BYTES:
                raise ResponseError(f"a line between chunks has more than {LINE_MAX_BYTES} bytes")
            if not found:
                break
            self._take_line(line)
            pending = rest
        self._pending = b"" if self.is_complete else pending
        return pending if self.is_complete else b""

    def _take_line(self, line: bytes) -> None:
        """Take the line before a chunk, or one of the trailer, which ends with an empty one."""
        if self._is_trailer:
            self.is_complete = not line
            return
        size = _number(line.partition(b";")[0].decode("latin-1").strip(), 16, "size of a chunk")
        self._is_trailer = not size
        self.remaining = size + len(LINE_END) if size else 0
        self.response.length += size

    def _take_chunk(self, pending: bytes) -> bytes:
        """Take what is there of a chunk and of the end of line behind it."""
        part = pending[: self.remaining]
        content = part[: max(0, self.remaining - len(LINE_END))]
        after = part[len(content) :]
        if after != LINE_END[len(LINE_END) - (self.remaining - len(content)) :][: len(after)]:
            raise ResponseError("a chunk is longer than its size")
        self.remaining -= len(part)
        if self._keep:
            self.response.body += content
        return pending[len(part) :]


def _number(text: str, base: int, what: str) -> int:
    """Return a number without sign. Raises ResponseError."""
    try:
        number = int(text, base) if text.isalnum() else -1
    except ValueError:
        number = -1
    if number < 0:
        raise ResponseError(f"the {what} is no number: {text[:20]!r}")
    return number
