"""A line between a client and the registry that stands still once, in the middle of an upload."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.ports import free_port

PIECE_BYTES = 64 * 1024
# What begins a request that carries a blob.
UPLOADS = (b"PUT /v2/", b"PATCH /v2/")

Watch = Callable[[bytes], None]


class StallingLine(ThreadingTCPServer):
    """A TCP proxy in front of the registry on port `upstream`.

    The first upload that has sent `after_bytes` of its body stands still there for `seconds`; all else passes.
    """

    def __init__(self, upstream: int, after_bytes: int, seconds: float) -> None:
        super().__init__(("127.0.0.1", free_port()), _Connection)
        self.upstream = upstream
        self.after_bytes = after_bytes
        self.seconds = seconds
        self.has_stalled = False
        self.open_sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """The registry's address on this line."""
        return f"127.0.0.1:{self.server_address[1]}"

    def stall_once(self) -> None:
        """Stand still, unless an upload has before."""
        with self._lock:
            is_first, self.has_stalled = not self.has_stalled, True
        if is_first:
            time.sleep(self.seconds)


class _Connection(BaseRequestHandler):
    """One connection of a client, and the registry's end of it."""

    server: StallingLine
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as registry:
            self.server.open_sockets |= {self.request, registry}
            back = threading.Thread(target=_forward, args=(registry, self.request, lambda _piece: None))
            back.start()
            _forward(self.request, registry, self._watch())
            back.join()
            self.server.open_sockets -= {self.request, registry}

    def _watch(self) -> Watch:
        """Return what counts the bytes of an upload's body, and stands still where the line does."""
        body_bytes = -1

        def watch(piece: bytes) -> None:
            nonlocal body_bytes
            if piece.startswith(UPLOADS) and b"/blobs/uploads/" in piece:
                body_bytes = len(piece.partition(b"\r\n\r\n")[2])
            elif body_bytes >= 0:
                body_bytes += len(piece)
            if body_bytes >= self.server.after_bytes:
                self.server.stall_once()

        return watch


def _forward(source: socket.socket, sink: socket.socket, watch: Watch) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            watch(piece)
            sink.sendall(piece)
    _shut_down((source, sink))


def _shut_down(sockets: tuple[socket.socket, ...]) -> None:
    for end in sockets:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def stalling_line(upstream: int, after_bytes: int, seconds: float) -> Iterator[StallingLine]:
    """Run the line while the block runs."""
    with StallingLine(upstream, after_bytes, seconds) as line:
        thread = threading.Thread(target=line.serve_forever)
        thread.start()
        try:
            yield line
        finally:
            line.shutdown()
            thread.join()
            _shut_down(tuple(line.open_sockets))
