"""A registry that serves what it was given, and fails as it is told: no program has all of these faults."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.images import digest_of, index, manifest

Fault = Callable[[BaseHTTPRequestHandler, bytes], bool]
"""Answers in place of the registry, given the body that it would have sent; False leaves the answer to the registry."""


class FakeRegistry:
    """Manifests by repository and reference, blobs by digest, and the requests that came, as `GET /v2/…`."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.faults: dict[str, Fault] = {}
        """By the end of a path."""

        self.challenge = ""
        self.accepted = ""
        """With a challenge: the Authorization header that is let in."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def add_image(self, repository: str, tag: str, *layers: bytes) -> bytes:
        """Serve an image and return its manifest."""
        config = json.dumps({"os": "linux", "layers": len(layers)}).encode()
        payload = manifest(config, *layers)
        self.blobs |= {digest_of(content): content for content in (config, *layers)}
        self.add_manifest(repository, tag, payload)
        return payload

    def add_index(self, repository: str, tag: str, *payloads: bytes) -> bytes:
        payload = index(*payloads)
        self.add_manifest(repository, tag, payload)
        return payload

    def add_manifest(self, repository: str, tag: str, payload: bytes) -> None:
        self.manifests |= {(repository, tag): payload, (repository, digest_of(payload)): payload}

    def count(self, beginning: str) -> int:
        """Return how many requests began so."""
        return sum(request.startswith(beginning) for request in self.requests)

    def close(self) -> None:
        """Refuse connections from now on."""
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.requests.append(f"{self.command} {self.path}")
                registry.authorizations.append(self.headers.get("Authorization", ""))
                registry.answer(self)

            do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        is_let_in = request.headers.get("Authorization", "") == self.accepted
        content, media_type = self._found(path)
        for end, fault in self.faults.items():
            if path.endswith(end) and fault(request, content):
                return
        if path == "/token":
            send(request, 200, json.dumps({"token": "a-token", "expires_in": 300}).encode())
        elif self.challenge and not is_let_in:
            send(request, 401, b"{}", {"WWW-Authenticate": self.challenge})
        elif not media_type:
            send(request, 404, b'{"errors": []}')
        else:
            digest = digest_of(content) if "json" in media_type else path.rpartition("/")[2]
            send(request, 200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _found(self, path: str) -> tuple[bytes, str]:
        name, _, reference = path.removeprefix("/v2/").rpartition("/")
        if name.endswith("/manifests"):
            payload = self.manifests.get((name.removesuffix("/manifests"), reference))
            return (b"", "") if payload is None else (payload, json.loads(payload)["mediaType"])
        if name.endswith("/blobs") and reference in self.blobs:
            return self.blobs[reference], "application/octet-stream"
        if path == "/v2/_catalog":
            return json.dumps({"repositories": sorted({name for name, _ in self.manifests})}).encode(), "text/json"
        if path.endswith("/tags/list"):
            wanted = path.removeprefix("/v2/").removesuffix("/tags/list")
            tags = sorted(tag for name, tag in self.manifests if name == wanted and ":" not in tag)
            return json.dumps({"name": wanted, "tags": tags}).encode(), "text/json"
        return b"", ""


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """Send a whole response."""
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def answering(status: int, **headers: str) -> Fault:
    """Return the fault of a status."""

    def fault(request: BaseHTTPRequestHandler, _content: bytes) -> bool:
        send(request, status, b"{}", {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return fault


def sending(body: bytes) -> Fault:
    """Return the fault of another body."""

    def fault(request: BaseHTTPRequestHandler, _content: bytes) -> bool:
        send(request, 200, body)
        return True

    return fault


def redirecting(to: str) -> Fault:
    """Return the fault of a redirect, as to a cloud."""

    def fault(request: BaseHTTPRequestHandler, _content: bytes) -> bool:
        send(request, 307, b"", {"Location": to})
        return True

    return fault


def cut_off(after: int) -> Fault:
    """Return the fault of a body that ends early."""

    def fault(request: BaseHTTPRequestHandler, content: bytes) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:after])
        return True

    return fault


def waiting_for(event: threading.Event, after: int = 0) -> Fault:
    """Return the fault of a body that comes to a halt until `event`."""

    def fault(request: BaseHTTPRequestHandler, content: bytes) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:after])
        request.wfile.flush()
        event.wait(30)
        request.wfile.write(content[after:])
        return True

    return fault


def basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def query_of(request: str) -> dict[str, list[str]]:
    """Return the query of a request that came."""
    return parse_qs(urlsplit(request.partition(" ")[2]).query)


@contextmanager
def serving(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    """Serve during the block."""
    thread = threading.Thread(target=registry.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.close()
        thread.join()
