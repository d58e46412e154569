"""What goes out: head and body in one packet where they fit, files by `sendfile` while the thread is lent."""

import os
import socket
import time
from functools import lru_cache
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import FileWrapper, Response

from registry_project.pool import Pool

# A socket takes this much at once; with more the client may have to be waited for.
SMALL_BYTES = 64 * 1024


class Outgoing(Response):
    """gunicorn's response, which sends its head together with the first bytes of the body."""

    def __init__(self, req: Any, sock: socket.socket, cfg: Any, pool: Pool[Any]) -> None:
        """Answer `req` on `sock`."""
        super().__init__(req, sock, cfg)
        self._pool = pool
        self._head = b""

    def default_headers(self) -> list[str]:
        """Return the lines that every response begins with."""
        request: Any = self.req
        major, minor = request.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {_http_date(int(time.time()))}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\n",
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

    def close(self) -> None:
        """End the response."""
        if not self.headers_sent:
            self.send_headers()
        self._send(b"0\r\n\r\n" if self.chunked else b"")

    def write_file(self, respiter: FileWrapper) -> None:
        """Send what the file has from where it stands, as long as Content-Length says.

        Raises OSError when the file ends before.
        """
        size = self.response_length
        if size is None or self.req.method == "HEAD" or not util.has_fileno(respiter.filelike):
            super().write_file(respiter)
            return
        self.send_headers()
        descriptor = respiter.filelike.fileno()
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        if size <= SMALL_BYTES:
            self._send(_exactly(os.pread(descriptor, size, offset), size))
        else:
            self._send(b"", socket.MSG_MORE)
            self._send_file(descriptor, offset, size)

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes, flags: int = 0) -> None:
        head, self._head = self._head, b""
        if head or data:
            self.sock.sendall(head + data if head else data, flags)

    def _send_file(self, descriptor: int, offset: int, size: int) -> None:
        out, end = self.sock.fileno(), offset + size
        with self._pool.lent():
            while offset < end:
                sent = os.sendfile(out, descriptor, offset, end - offset)
                if not sent:
                    raise OSError(f"the file ends at {offset} instead of {end}")
                offset += sent


@lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    return util.http_date(second)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError(f"the file has {len(data)} bytes instead of {size}")
    return data
