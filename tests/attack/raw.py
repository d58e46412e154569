"""Bytes on a socket: what is sent is sent as it is, and what comes is read until the server ends the connection."""

import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field

# Far above what any answer takes, far below what a successful attack would make it take.
PATIENCE_SECONDS = 10.0
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*")


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came; the names of headers in lower case, each as often as it was there."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return the value of a header; empty when it is missing, AssertionError when it is there twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else ""


def connect(port: int, address: str = "127.0.0.1") -> socket.socket:
    """Open a connection from `address`, which is of this machine: a throttle counts each on its own."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS, (address, 0))


def exchange(port: int, request: bytes, address: str = "127.0.0.1") -> list[Raw]:
    """Send bytes, read until the server ends the connection, and return the answers.

    Raises TimeoutError when the server keeps the connection open, AssertionError for what is no answer.
    """
    with connect(port, address) as sock:
        # A server that has refused may end the connection while the rest is still sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
        came = rest_of(sock)
    return answers(came, is_head=request.startswith(b"HEAD "))


def rest_of(sock: socket.socket) -> bytes:
    """Return what comes until the end of the connection."""
    came = bytearray()
    with suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            came += piece
    return bytes(came)


def ask(port: int, head: str, *, body: bytes = b"", chunked: bool = False, address: str = "127.0.0.1") -> Raw:
    """Send one request, of a request line and header lines, and return its answer."""
    lines = [head, f"Host: 127.0.0.1:{port}", "Connection: close"]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body:
        lines.append(f"Content-Length: {len(body)}")
    (answer,) = exchange(port, "\r\n".join([*lines, "", ""]).encode("latin-1") + body, address)
    return answer


def answers(came: bytes, *, is_head: bool = False) -> list[Raw]:
    """Return the answers in what came, to HEAD without bodies.

    Raises AssertionError for anything that is between or behind them.
    """
    found = []
    while came:
        head, blank, came = came.partition(b"\r\n\r\n")
        assert blank, head
        status_line, *lines = head.split(b"\r\n")
        matched = _STATUS_LINE.fullmatch(status_line)
        assert matched, status_line
        fields = [line.partition(b":") for line in lines]
        headers = [(name.decode().lower(), value.strip().decode("latin-1")) for name, _, value in fields]
        answer = Raw(int(matched[1]), headers, b"")
        size = 0 if is_head else int(answer.header("content-length") or len(came))
        assert len(came) >= size, came
        found.append(Raw(answer.status, headers, came[:size]))
        came = came[size:]
    return found
