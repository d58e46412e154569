"""The load generator: one loop over keep-alive connections, each of which repeats an operation.

An operation that began before the time was over is finished and counts. The generator drives loopback only.
"""

import ipaddress
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.request import Operation, Request
from bench.response import Reader, ResponseError

RECEIVE_BYTES = 64 * 1024
SEND_BYTES = 1024 * 1024
# One event of one connection sends or receives at most so often: the others have their turn.
TURNS = 8
PATIENCE_SECONDS = 120
ERRORS_MAX = 10

Begin = Callable[[], Operation | None]


@dataclass(slots=True)
class Load:
    """What came of a run; latencies in seconds, one for each operation that succeeded."""

    seconds: float = 0.0
    generator_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0


def own_seconds() -> float:
    """Return the CPU-seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Run:
    """Some connections to one server, and the operations that they repeat until the time or their number is over."""

    def __init__(
        self, address: tuple[str, int], begin: Begin, *, connections: int, seconds: float, is_proof: bool = False
    ) -> None:
        """Prepare a run. `begin` returns the next operation, None when there are no more."""
        if not ipaddress.ip_address(address[0]).is_loopback:
            raise ValueError(f"{address[0]} is not a loopback address; the generator drives no other machine")
        self.address = address
        self.is_proof = is_proof
        self.load = Load()
        self.poller = select.epoll()
        self.clients: dict[int, Client] = {}
        self._begin = begin
        self._connections = connections
        self._seconds = seconds
        self._deadline = 0.0

    def __call__(self) -> Load:
        """Run and return what came of it. Raises OSError when the server can't be reached at all."""
        try:
            waiting = [Client(self) for _ in range(self._connections)]
            for client in waiting:
                client.connect()
            self._drive(waiting)
        finally:
            for client in list(self.clients.values()):
                client.close()
            self.poller.close()
        return self.load

    def _drive(self, waiting: list["Client"]) -> None:
        used, started = own_seconds(), time.perf_counter()
        self._deadline = started + self._seconds
        for client in waiting:
            client.begin()
        self._loop(self._deadline + PATIENCE_SECONDS)
        self.load.seconds = time.perf_counter() - started
        self.load.generator_seconds = own_seconds() - used

    def next(self) -> Operation | None:
        """Return the next operation, None when it is time to stop."""
        if time.perf_counter() >= self._deadline or self.load.errors.total() >= ERRORS_MAX:
            return None
        return self._begin()

    def _loop(self, give_up_at: float) -> None:
        while self.clients and time.perf_counter() < give_up_at:
            for descriptor, event in self.poller.poll(1.0):
                client = self.clients.get(descriptor)
                if client is not None:
                    client.on(event)
        if self.clients:
            self.load.errors[f"no answer within {PATIENCE_SECONDS} s after the end of the run"] += len(self.clients)


class Client:
    """One connection, and the operation that runs on it."""

    __slots__ = (
        "_is_writing",
        "_operation",
        "_outgoing",
        "_reader",
        "_request",
        "_run",
        "_scratch",
        "_sock",
        "_started",
    )

    def __init__(self, run: Run) -> None:
        """Belong to `run`, without a connection yet."""
        self._run = run
        self._scratch = bytearray(SEND_BYTES)
        self._outgoing: list[memoryview] = []
        self._is_writing = False

    def connect(self) -> None:
        """Open the connection."""
        self._sock = socket.create_connection(self._run.address, timeout=10)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.setblocking(False)
        self._is_writing = False
        self._run.poller.register(self._sock, select.EPOLLIN)
        self._run.clients[self._sock.fileno()] = self

    def close(self) -> None:
        """Close the connection and leave the run."""
        del self._run.clients[self._sock.fileno()]
        self._run.poller.unregister(self._sock)
        self._sock.close()

    def begin(self) -> None:
        """Begin the next operation, or leave when there is none."""
        operation = self._run.next()
        if operation is None:
            self.close()
            return
        self._operation = operation
        self._started = time.perf_counter()
        self._send(next(operation))

    def on(self, event: int) -> None:
        """Go on with what the connection is ready for; an operation that fails is counted, never left out."""
        try:
            # An answer that comes before the request was sent says why the connection breaks.
            if event & ~select.EPOLLOUT:
                self._receive()
            if event & select.EPOLLOUT:
                self._flush()
        except (ResponseError, OSError) as error:
            self._fail(str(error))

    def _send(self, request: Request) -> None:
        self._request = request
        self._reader = Reader(is_head=request.is_head, keep=self._run.is_proof)
        self._outgoing = [*reversed(request.body), memoryview(request.wire)]
        self._flush()

    def _flush(self) -> None:
        """Send what the socket takes, and ask to be called again when it is not all."""
        for _ in range(TURNS):
            if not self._outgoing:
                break
            view = self._outgoing.pop()
            try:
                sent = self._sock.send(view[:SEND_BYTES])
            except BlockingIOError:
                sent = 0
            if sent < len(view):
                self._outgoing.append(view[sent:])
            if not sent:
                break
        if bool(self._outgoing) != self._is_writing:
            self._is_writing = not self._is_writing
            more = select.EPOLLOUT if self._is_writing else 0
            self._run.poller.modify(self._sock, select.EPOLLIN | more)

    def _receive(self) -> None:
        """Receive what is there; a long body is thrown away in the kernel, unless it is to be kept."""
        reader = self._reader
        for _ in range(TURNS):
            try:
                if reader.skippable > RECEIVE_BYTES:
                    wanted = min(reader.skippable, SEND_BYTES)
                    count = self._sock.recv_into(self._scratch, wanted, socket.MSG_TRUNC)
                    reader.skip(count)
                else:
                    data = self._sock.recv(RECEIVE_BYTES)
                    count = len(data)
                    reader.feed(data)
            except BlockingIOError:
                return
            if not count:
                raise reader.end()
            if reader.is_complete:
                self._take_answer()
                return

    def _take_answer(self) -> None:
        response = self._reader.response
        fault = self._request.fault_of(response, is_proof=self._run.is_proof)
        if self._outgoing and not fault:
            fault = f"{response.status} before the request was sent"
        if fault:
            raise ResponseError(fault)
        if response.will_close:
            self._reconnect()
        try:
            request = self._operation.send(response)
        except StopIteration:
            self._run.load.latencies.append(time.perf_counter() - self._started)
            self.begin()
        else:
            self._send(request)

    def _reconnect(self) -> None:
        self._run.load.reconnects += 1
        self.close()
        self.connect()

    def _fail(self, message: str) -> None:
        self._run.load.errors[message] += 1
        self._operation.close()
        self.close()
        if self._run.load.errors.total() < ERRORS_MAX:
            self.connect()
            self.begin()
