"""Hundreds of slow clients, pulling and pushing, in one process and one thread.

A client moves PIECE_BYTES every TICK_SECONDS: 64 KiB a second. A pull asks for more than it ever reads. A push goes on
for ten seconds and keeps its last piece until it is told to finish: then it sends the rest at once, and completes the
upload under the digest of its bytes.
"""

import hashlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from random import Random
from typing import Self

from tests.clients.server import Server
from tests.images import digest_of, manifest
from tests.project.talk import Talk

PIECE_BYTES = 16 * 1024
TICK_SECONDS = 0.25
PUSH_BYTES = 40 * PIECE_BYTES
# The kernel would else take megabytes for a client that has not asked for them.
RECEIVE_BUFFER_BYTES = 16 * 1024
PATIENCE_SECONDS = 300

BLOB_BYTES = 64 * 1024 * 1024
REPOSITORY = "alice/slow"
MANIFEST_TYPE = "Content-Type: application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Orders:
    """What the crowd does: `pulls` of one blob, and a push into each of the open `uploads`, every other one chunked."""

    port: int
    token: str
    blob: str
    pulls: int
    uploads: Sequence[str]


@dataclass(frozen=True, slots=True)
class State:
    """How many pull, how many push, and how many are done; what went wrong."""

    pulling: int
    pushing: int
    done: int
    failures: list[str]


def prepare(server: Server, pulls: int, pushes: int) -> Orders:
    """Push an image whose config is the blob that is pulled, open the uploads, and return what a crowd needs."""
    token, blob = server.token("alice", f"repository:{REPOSITORY}:pull,push"), bytes(BLOB_BYTES)
    line, payload = f"Authorization: Bearer {token}", manifest(blob)
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"

    def put(method: str, path: str, body: bytes) -> None:
        answer = talk.ask(method, path, line, MANIFEST_TYPE, f"Content-Length: {len(body)}", body=body)
        assert answer.status == 201, answer.status

    with Talk(server) as talk:
        put("POST", f"{uploads}?digest={digest_of(blob)}", blob)
        put("PUT", f"/v2/{REPOSITORY}/manifests/v1", payload)
        opened = [talk.ask("POST", uploads, line, "Content-Length: 0").headers["Location"] for _ in range(pushes)]
    return Orders(server.port, token, f"/v2/{REPOSITORY}/blobs/{digest_of(blob)}", pulls, opened)


class Client:
    """A connection that never waits."""

    def __init__(self, port: int, authorization: str) -> None:
        self.authorization = authorization
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.out = b""
        self.came = b""
        self.failure = ""
        self.is_done = False

    def ask(self, method: str, path: str, *lines: str) -> None:
        """Have a request sent."""
        head = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: {self.authorization}", *lines, "", ""]
        self.out += "\r\n".join(head).encode()

    def step(self) -> None:
        """Do what can be done now."""
        try:
            if self.out:
                self.out = self.out[self.sock.send(self.out) :]
            self.act()
        except BlockingIOError:
            return
        except OSError as error:
            self.failure = f"{type(self).__name__}: {error}"

    def act(self) -> None:
        """Go on with what this client is for."""
        raise NotImplementedError

    def receive(self) -> int:
        """Take what is there, at most a piece, and return its size."""
        data = self.sock.recv(PIECE_BYTES)
        if not data:
            raise ConnectionError(f"the connection ended after {self.came[:200]!r}")
        self.came = (self.came + data)[: 64 * 1024]
        return len(data)

    def expect(self, status: int) -> None:
        """Raise ConnectionError when what came begins with another status."""
        if not self.came.startswith(f"HTTP/1.1 {status} ".encode()):
            raise ConnectionError(f"expected {status}, got {self.came[:400]!r}")


class Pull(Client):
    """Reads a blob, and never to its end."""

    def __init__(self, orders: Orders) -> None:
        super().__init__(orders.port, f"Bearer {orders.token}")
        self.received = 0
        self.ask("GET", orders.blob)

    @property
    def is_under_way(self) -> bool:
        """Tell whether bytes of the blob came."""
        return self.received > PIECE_BYTES

    def act(self) -> None:
        """Take a piece."""
        self.received += self.receive()
        self.expect(200)


class Push(Client):
    """Sends a blob like no other."""

    def __init__(self, orders: Orders, number: int) -> None:
        super().__init__(orders.port, f"Bearer {orders.token}")
        self.payload = Random(number).randbytes(PUSH_BYTES)
        self.is_chunked = number % 2 == 0
        self.may_finish = False
        self.sent = 0
        self.next: Callable[[], None] = self._send
        self.path = orders.uploads[number]
        self.ask(
            "PATCH", self.path, "Transfer-Encoding: chunked" if self.is_chunked else f"Content-Length: {PUSH_BYTES}"
        )

    @property
    def is_under_way(self) -> bool:
        """Tell whether a few pieces were sent."""
        return self.sent >= 4 * PIECE_BYTES

    def act(self) -> None:
        """Send a piece, or take an answer."""
        self.next()

    def _send(self) -> None:
        is_last = self.sent >= PUSH_BYTES - PIECE_BYTES
        if self.out or (is_last and not self.may_finish):
            return
        piece = self.payload[self.sent :][: None if self.may_finish else PIECE_BYTES]
        self.sent += len(piece)
        self.out += b"%x\r\n%b\r\n" % (len(piece), piece) if self.is_chunked else piece
        if self.sent == PUSH_BYTES:
            self.out += b"0\r\n\r\n" if self.is_chunked else b""
            self.next = self._complete

    def _complete(self) -> None:
        self.receive()
        self.expect(202)
        self.came = b""
        digest = hashlib.sha256(self.payload).hexdigest()
        self.ask("PUT", f"{self.path}?digest=sha256:{digest}", "Content-Length: 0")
        self.next = self._end

    def _end(self) -> None:
        self.receive()
        self.expect(201)
        self.is_done = True


def drive(orders: Orders, parent: Connection) -> None:
    """Be the crowd, until the parent says stop; it may ask how they do, and tell the pushes to finish."""
    pulls = [Pull(orders) for _ in range(orders.pulls)]
    pushes = [Push(orders, number) for number in range(len(orders.uploads))]
    clients: list[Client] = [*pulls, *pushes]
    while True:
        due = time.monotonic() + TICK_SECONDS
        for client in clients:
            if not (client.failure or client.is_done):
                client.step()
        while parent.poll(max(0.0, due - time.monotonic())):
            word = parent.recv()
            if word == "stop":
                return
            for push in pushes:
                push.may_finish = push.may_finish or word == "finish"
            parent.send(_state(pulls, pushes))


def _state(pulls: Sequence[Pull], pushes: Sequence[Push]) -> State:
    failures = [client.failure for client in (*pulls, *pushes) if client.failure]
    pulling = sum(pull.is_under_way for pull in pulls if not pull.failure)
    pushing = sum(push.is_under_way for push in pushes if not push.failure)
    return State(pulling, pushing, sum(push.is_done for push in pushes), failures)


class SlowCrowd:
    """The crowd at work in its process."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        here, there = get_context("spawn").Pipe()
        self._pipe = here
        self._process = get_context("spawn").Process(target=drive, args=(orders, there), daemon=True)
        self._there = there

    def __enter__(self) -> Self:
        self._process.start()
        self._there.close()
        return self

    def __exit__(self, *_error: object) -> None:
        self._pipe.send("stop")
        self._process.join(PATIENCE_SECONDS)
        self._pipe.close()
        self._process.close()

    def ask(self, word: str) -> State:
        """Say `word` and return how they do."""
        self._pipe.send(word)
        state: State = self._pipe.recv()
        return state

    def wait_until_under_way(self) -> State:
        """Return once every pull has some of its blob, and every push has sent some of its own."""
        orders = self.orders
        return self._wait("state", lambda s: s.pulling == orders.pulls and s.pushing == len(orders.uploads))

    def finish(self) -> State:
        """Let the pushes finish and return once all are done."""
        return self._wait("finish", lambda s: s.done == len(self.orders.uploads))

    def _wait(self, word: str, is_so: Callable[[State], bool]) -> State:
        """Ask until it is so, or something failed; AssertionError when it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        state = self.ask(word)
        while not (is_so(state) or state.failures):
            assert time.monotonic() < deadline, state
            time.sleep(TICK_SECONDS)
            state = self.ask(word)
        return state
