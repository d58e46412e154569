"""A connection without a network: its bytes come in pieces, and what is read of them can be compared."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from gunicorn.config import Config
from gunicorn.http.errors import ChunkMissingTerminator, NoMoreData, ParseException
from gunicorn.http.parser import RequestParser

from server.connection import Parser, frozen
from server.places import Client, Waiter
from server.pool import CrowdedError, Pool, Wait
from server.reader import Reader

CLIENT = ("127.0.0.1", 50000)
PEER = Client(CLIENT, lambda _address: False)
SETTINGS = frozen(Config())
# One for all: each has a descriptor that stays open.
POOL: Pool[Any] = Pool(1, 10, lambda _: False)
_READABLE = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Wire:
    """A socket on which one piece after the other arrives, each only when somebody waits for it."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._coming = [piece for piece in pieces if piece]
        self._there = b""

    def fileno(self) -> int:
        """Return a descriptor that can always be read: what is waited for is there."""
        return _READABLE

    def recv(self, size: int, flags: int = 0) -> bytes:
        if not self._there:
            if flags & socket.MSG_DONTWAIT and self._coming:
                raise BlockingIOError
            self._there = self._coming.pop(0) if self._coming else b""
        data, self._there = self._there[:size], self._there[size:]
        return data

    def recv_into(self, view: memoryview, size: int = 0, flags: int = 0) -> int:
        data = self.recv(size or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvmsg_into(
        self, views: Sequence[memoryview], _size: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        """Receive one piece into the views, in turn."""
        data = self.recv(sum(map(len, views)), flags)
        rest = data
        for view in views:
            view[: len(rest)] = rest[: len(view)]
            rest = rest[len(view) :]
        return len(data), [], 0, None


class CountingPool(Pool[Any]):
    """A pool that counts how often a slot was released."""

    def __init__(self, transfers: int = 10) -> None:
        super().__init__(1, transfers, lambda _: False)
        self.transfers = transfers
        self.times = 0

    @contextmanager
    def releases_slot(self, wait: Wait, client: str, waiter: Waiter) -> Iterator[None]:
        if not self.transfers:
            raise CrowdedError
        self.times += 1
        yield


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a body: its bytes, the error that ended it, and the path (or error) of what follows."""

    data: bytes
    error: type[Exception] | None
    following: str | None


class Steps:
    """A request's body, read as the registry does, and the connection that it came on."""

    def __init__(self, pieces: Iterable[bytes], view_bytes: int = 64, pool: Pool[Any] | None = None) -> None:
        wire: Any = Wire(pieces)
        reader = Reader(wire, pool or POOL, PEER)
        self.parser: Any = Parser(SETTINGS, wire, CLIENT)
        self.parser.unreader = reader
        self.input: Any = next(self.parser).body
        self._view = memoryview(bytearray(view_bytes))

    def next(self) -> bytes:
        """Return what comes next, at most a view of it."""
        return bytes(self._view[: self.input.receive_into(self._view)])

    def following(self) -> str | None:
        """Return the path of the request that follows on the connection, None when none is read there."""
        self.parser.discard_body(lambda: False)
        return _following(self.parser)


def ours(pieces: Iterable[bytes], view_bytes: int) -> Outcome:
    """Read a request's body as the registry does, `view_bytes` at a time."""
    steps = Steps(pieces, view_bytes)
    return _outcome(steps.next, steps.parser)


def gunicorns(pieces: Iterable[bytes], view_bytes: int) -> Outcome:
    """Read a request's body as gunicorn does by itself."""
    wire: Any = Wire(pieces)
    parser = RequestParser(SETTINGS, wire, CLIENT)
    body: Any = next(parser).body
    return _outcome(lambda: bytes(body.read(view_bytes)), parser)


def requests_read(pieces: Iterable[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    """Return method, target and body of each request that the registry reads before one that is not whole."""
    wire: Any = Wire(pieces)
    parser: Any = Parser(SETTINGS, wire, CLIENT)
    parser.unreader = Reader(wire, POOL, PEER)
    read: list[tuple[bytes, bytes, bytes]] = []
    with suppress(OSError, ParseException):
        for request in parser:
            body = request.body.read()
            if request.body.failed:
                break
            read.append((request.method.encode(), request.uri.encode("latin-1"), body))
    return read


def _outcome(step: Callable[[], bytes], parser: Any) -> Outcome:
    data, error = bytearray(), None
    while True:
        try:
            piece = step()
        except (OSError, ParseException) as raised:
            if error is not None:
                break
            # What came before may still be in a buffer.
            error = _kind(raised)
            continue
        if not piece:
            break
        data += piece
    return Outcome(bytes(data), error, _following(parser))


def _kind(error: Exception) -> type[Exception]:
    """Return the base of what refuses a body; a body that ends within the line behind a chunk was cut."""
    if isinstance(error, ChunkMissingTerminator) and b"\r\n".startswith(error.term):
        return NoMoreData
    return ParseException if isinstance(error, ParseException) else type(error)


def _following(parser: Any) -> str | None:
    try:
        return str(next(parser).path)
    except StopIteration:
        return None
    except (OSError, ParseException) as refused:
        return type(refused).__name__
