"""A line to an S3 server that falls silent: it takes connections and bytes, and nothing comes back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


class SilentLine(ThreadingTCPServer):
    """A TCP proxy in front of the server at `endpoint`; while `is_silent`, it passes nothing on."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = urlsplit(endpoint).port
        self.is_silent = False
        self.connections = 0
        self.open_sockets: set[socket.socket] = set()

    @property
    def endpoint(self) -> str:
        """The URL of S3 on this line."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    """A connection; one that met the silence stays silent for good."""

    server: SilentLine
    request: socket.socket

    def handle(self) -> None:
        self.server.connections += 1
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as s3:
            self.server.open_sockets |= {self.request, s3}
            threading.Thread(target=self._forward, args=(s3, self.request), daemon=True).start()
            self._forward(self.request, s3)
            self.server.open_sockets -= {self.request, s3}

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        is_cut = False
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                is_cut = is_cut or self.server.is_silent
                if not is_cut:
                    sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_line(endpoint: str) -> Iterator[SilentLine]:
    """Run a line during the block."""
    with SilentLine(endpoint) as line:
        threading.Thread(target=line.serve_forever, daemon=True).start()
        try:
            yield line
        finally:
            line.shutdown()
            for end in list(line.open_sockets):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
