"""Connections to a real server, spoken to byte by byte."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.clients.server import Server

# Far above what an answer takes: a server that hangs fails its test, not the run.
PATIENCE_SECONDS = 60
# States and an inode in /proc/net/tcp: what the kernel ends by itself is no process's any more.
ESTABLISHED, CLOSE_WAIT, LISTENS = "01", "08", "0A"
NOBODYS = "0"


class SmallServer(Server):
    """A server of one process with two threads, that waits for four slow clients besides; no jobs beside it."""

    threads, max_slow_clients = 2, 4

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        small = {"workers": 1, "threads": self.threads, "max_slow_clients": self.max_slow_clients}
        server = {"addr": self.host} | small
        return super().configuration() | {"server": server, "garbage_collector": {"enabled": False}}


class Talk:
    """One connection to a server."""

    def __init__(self, server: Server, receive_buffer: int | None = None, source: str = "") -> None:
        self.server = server
        self.sock = socket.socket()
        if source:
            self.sock.bind((source, 0))
        if receive_buffer is not None:
            # Before the connection is made: later the kernel has promised more already.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(("127.0.0.1", server.port))
        self._file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self.sock.close()

    def head(self, method: str, path: str, *lines: str) -> bytes:
        """Return the head of a request."""
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {self.server.host}", *lines, "", ""]).encode()

    def send(self, method: str, path: str, *lines: str, body: bytes = b"") -> None:
        """Send the head of a request, and `body` as it is."""
        self.sock.sendall(self.head(method, path, *lines) + body)

    def answer(self, method: str = "GET") -> http.client.HTTPResponse:
        """Return the next answer, read whole, which is one to `method`."""
        response = http.client.HTTPResponse(_Unclosed(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        response.content = response.read()  # type: ignore[attr-defined]
        return response

    def ask(self, method: str, path: str, *lines: str, body: bytes = b"") -> http.client.HTTPResponse:
        """Send a request and return its answer."""
        self.send(method, path, *lines, body=body)
        return self.answer(method)

    def is_continued(self) -> bool:
        """Wait for what comes next and tell whether it is 100 Continue, which is then taken."""
        is_continue = self._file.peek(1).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        if is_continue:
            self._file.readline()
            self._file.readline()
        return is_continue

    def is_ended(self) -> bool:
        """Wait for the end of the connection; False when something else comes."""
        try:
            return not self._file.read(1)
        except ConnectionResetError:
            return True


class _Unclosed:
    """The file of a connection, which outlives each response that is read from it."""

    def __init__(self, file: object) -> None:
        self._file = file

    def makefile(self, _mode: str) -> object:
        return _Open(self._file)


class _Open:
    def __init__(self, file: object) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def close(self) -> None:
        """Leave it open."""

    def flush(self) -> None:
        """Do nothing: it is read only."""


@contextmanager
def talks(server: Server, number: int, receive_buffer: int | None = None, source: str = "") -> Iterator[list[Talk]]:
    """Open so many connections, from the address `source` of this machine."""
    with ExitStack() as stack:
        yield [stack.enter_context(Talk(server, receive_buffer, source)) for _ in range(number)]


def has_connections(server: Server) -> bool:
    """Tell whether the server has a socket open with a client, alive or not, or has still to accept one."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    own = [row for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] != LISTENS]
    return any(row[3] in (ESTABLISHED, CLOSE_WAIT) or row[9] != NOBODYS for row in own)


def bearer(server: Server, repository: str = "alice/app") -> str:
    """Return the header line with which alice may push to `repository`."""
    return f"Authorization: Bearer {server.token('alice', f'repository:{repository}:pull,push')}"


def open_upload(server: Server, authorization: str, repository: str = "alice/app") -> str:
    """Open an upload and return its path."""
    with Talk(server) as talk:
        answer = talk.ask("POST", f"/v2/{repository}/blobs/uploads/", authorization, "Content-Length: 0")
    assert answer.status == 202, answer.content  # type: ignore[attr-defined]
    location: str = answer.headers["Location"]
    return location


def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
