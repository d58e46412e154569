"""A receiver of webhooks: a real HTTP server that keeps what it was sent, and answers as it is told."""

import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request with the status that it got; 0 means no answer. `number` counts them as they arrive."""

    number: int
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def event(self) -> dict[str, Any]:
        """The event of distribution's envelope, or the CloudEvent."""
        found = json.loads(self.body)
        event: dict[str, Any] = found["events"][0] if "events" in found else found
        return event

    @property
    def repository(self) -> str:
        event = self.event
        return str(event.get("data", event)["target"]["repository"])


class Receiver:
    """Answers each request as `answer` says: with a status, or in a way of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.answer: Callable[[BaseHTTPRequestHandler, bytes], int] = self.accept
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                # Before the answer: after it, the next request may overtake this thread.
                number = next(receiver.numbers)
                status = receiver.answer(self, body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver.lock:
                    receiver.requests.append(Request(number, self.path, headers, body, status))

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            # The handshake is of the thread that reads: a refusal must not end the loop.
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}/hook"

    @property
    def accepted(self) -> list[Request]:
        """The requests that were answered with 2xx, as they arrived."""
        with self.lock:
            found = [request for request in self.requests if 200 <= request.status < 300]
        return sorted(found, key=lambda request: request.number)

    @staticmethod
    def accept(handler: BaseHTTPRequestHandler, _body: bytes) -> int:
        return Receiver.say(handler, 200)

    @staticmethod
    def say(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> int:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        return status


def hang(handler: BaseHTTPRequestHandler, _body: bytes) -> int:
    """Send nothing, until the client has gone."""
    handler.rfile.read(1)
    return 0


def drip(handler: BaseHTTPRequestHandler, _body: bytes) -> int:
    """Send a byte of the head now and then, and never come to its end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Slow: 1\r\n")
        time.sleep(0.05)


def close_early(handler: BaseHTTPRequestHandler, _body: bytes) -> int:
    handler.wfile.write(b"HTTP/1.1 20")
    handler.close_connection = True
    return 0


def answer_a_gigabyte(handler: BaseHTTPRequestHandler, _body: bytes) -> int:
    handler.send_response(500)
    handler.send_header("Content-Length", str(2**30))
    handler.end_headers()
    piece = bytes(2**20)
    for _ in range(2**10):
        handler.wfile.write(piece)
    return 500


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(tls)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
