"""Clients that take all they can get, in one process: `python -m bench.hostile ORDERS`, a JSON object of `Orders`.

Each does the same again and again until the process is told to stop, and connects anew when the server has had enough:

readers     pull a blob, 4 KiB a second
halves      send the head of a request a byte at a time, and never its end
guessers    try passwords, half of them at the door of the admin, each as soon as the last one was answered
quadratic   upload 3 MiB in plain chunks, then 150,000 chunks of one byte with an extension
broken      upload chunks that are none

Standard output: `ready` once everybody has begun, and at the end what was answered how often.
"""

import asyncio
import json
import random
import re
import resource
import signal
import socket
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from urllib.parse import quote, urlencode

PIECE_BYTES = 4096
PAUSE_SECONDS = 1.0
# Longer than the server waits for the head of a request.
PATIENCE_SECONDS = 90.0
FORM = "Content-Type: application/x-www-form-urlencoded"
QUADRATIC = (b"10000\r\n" + bytes(65536) + b"\r\n") * 48 + b"1;a\r\nx\r\n" * 150_000 + b"0\r\n\r\n"
BROKEN = (b"5\r\nhelloXX", b"zz\r\n", b"5\nhello\r\n", b"-1\r\n", b"5;\rx\r\nhello\r\n", b"ffffffffffffffffff\r\nx")


@dataclass(frozen=True, slots=True)
class Orders:
    """Whom to attack from where, how many of each kind do it, and what they show."""

    port: int
    address: str
    blob: str
    pull: str
    uploads: str
    push: str
    readers: int = 0
    halves: int = 0
    guessers: int = 0
    quadratic: int = 0
    broken: int = 0
    pause: float = 10.0
    """After how many seconds one comes again that was turned away; the mean, and readers and halves only."""

    def json(self) -> str:
        """Return the argument of the command."""
        return json.dumps(asdict(self))


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Crowd:
    """Everybody, and what they were answered."""

    def __init__(self, orders: Orders) -> None:
        """Have done nothing yet."""
        self._orders = orders
        self._begun: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._chance = random.Random(1)

    def kinds(self) -> dict[str, tuple[int, Callable[[int], Awaitable[str]]]]:
        """Return how many there are of each kind, and what one of them does; that returns the answer."""
        orders = self._orders
        return {
            "readers": (orders.readers, self._read),
            "halves": (orders.halves, self._send_half),
            "guessers": (orders.guessers, self._guess),
            "quadratic": (orders.quadratic, self._upload),
            "broken": (orders.broken, self._break),
        }

    async def run(self) -> None:
        """Go on until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, (number, act) in self.kinds().items():
                for which in range(number):
                    group.create_task(self._repeat(kind, which, act))
            group.create_task(self._tell_when_ready())

    async def _tell_when_ready(self) -> None:
        wanted = {kind: number for kind, (number, _) in self.kinds().items() if number}
        while any(self._begun[kind] < number for kind, number in wanted.items()):
            await asyncio.sleep(0.1)
        print("ready", flush=True)

    async def _repeat(self, kind: str, which: int, act: Callable[[int], Awaitable[str]]) -> None:
        # Not all in the same moment: a queue of connections that overflows would be another attack.
        await asyncio.sleep(which * 0.004)
        while True:
            self._begun[kind] += 1
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    answer = await act(which)
            except TimeoutError:
                answer = "no answer"
            except OSError as error:
                answer = type(error).__name__
            self.answers[f"{kind} {answer}"] += 1
            if kind in {"readers", "halves"}:
                await asyncio.sleep(self._orders.pause * self._chance.uniform(0.5, 1.5))
            elif not answer.isdigit():
                await asyncio.sleep(PAUSE_SECONDS)

    async def _connect(self, receive_buffer: int = 0) -> Streams:
        sock = socket.socket()
        try:
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.bind((self._orders.address, 0))
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._orders.port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock, limit=PIECE_BYTES)

    async def _ask(self, head: str, body: bytes = b"", *, is_raw: bool = False) -> tuple[str, bytes]:
        """Send a request on a connection of its own; return the status and what else came."""
        length = "" if is_raw else f"Content-Length: {len(body)}\r\n"
        reader, writer = await self._connect()
        try:
            writer.write(f"{head}\r\nHost: x\r\nConnection: close\r\n{length}\r\n".encode() + body)
            came = bytearray()
            while piece := await reader.read(65536):
                came += piece
        finally:
            writer.close()
        return status_of(bytes(came)), bytes(came)

    async def _read(self, _which: int) -> str:
        reader, writer = await self._connect(PIECE_BYTES)
        try:
            head = f"GET {self._orders.blob} HTTP/1.1\r\nHost: x\r\nAuthorization: {self._orders.pull}\r\n\r\n"
            writer.write(head.encode())
            status = status_of(first := await reader.read(PIECE_BYTES))
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS - 10):
                    while first:
                        await asyncio.sleep(1)
                        first = await reader.read(PIECE_BYTES)
            return status
        finally:
            writer.close()

    async def _send_half(self, which: int) -> str:
        reader, writer = await self._connect()
        try:
            writer.write([b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b"GE", b"P"][which % 3])
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        return status_of(await reader.read(PIECE_BYTES))
                writer.write(b"a")
        finally:
            writer.close()

    async def _guess(self, which: int) -> str:
        name, password = f"guessed-{self._chance.random()}", f"{self._chance.random()}"
        if which % 2 == 0:
            login = b64encode(f"{name}:{password}".encode()).decode()
            return (await self._ask(f"GET /v2/token HTTP/1.1\r\nAuthorization: Basic {login}"))[0]
        status, page = await self._ask("GET /admin/login/ HTTP/1.1")
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        cookie = re.search(rb"Set-Cookie: ([^;]+)", page)
        if token is None or cookie is None:
            return f"page {status}"
        fields = {"csrfmiddlewaretoken": token[1].decode(), "username": name, "password": password}
        head = f"POST /admin/login/ HTTP/1.1\r\nCookie: {cookie[1].decode()}\r\n{FORM}"
        return (await self._ask(head, urlencode(fields).encode()))[0]

    async def _upload(self, _which: int) -> str:
        return await self._patch(QUADRATIC)

    async def _break(self, _which: int) -> str:
        return await self._patch(b"5\r\nhello\r\n" + self._chance.choice(BROKEN))

    async def _patch(self, chunks: bytes) -> str:
        """Open an upload, send it `chunks`, cancel it, and return what the chunks were answered."""
        line = f"Authorization: {self._orders.push}"
        status, came = await self._ask(f"POST {self._orders.uploads} HTTP/1.1\r\n{line}")
        location = re.search(rb"Location: (\S+)", came)
        if location is None:
            return f"POST {status}"
        path = location[1].decode()
        head = f"PATCH {quote(path)} HTTP/1.1\r\n{line}\r\nTransfer-Encoding: chunked"
        try:
            return (await self._ask(head, chunks, is_raw=True))[0]
        finally:
            with suppress(OSError):
                await self._ask(f"DELETE {quote(path)} HTTP/1.1\r\n{line}")


def status_of(came: bytes) -> str:
    """Return the status of an answer, a word when there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", came)
    return found[1].decode() if found else "ended"


async def main(orders: Orders) -> None:
    """Be the crowd until a signal comes, then say what was answered."""
    crowd = Crowd(orders)
    running = asyncio.ensure_future(crowd.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    with suppress(BrokenPipeError):
        print(json.dumps(crowd.answers), flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(Orders(**json.loads(sys.argv[1]))))
