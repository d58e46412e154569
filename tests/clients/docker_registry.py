"""Debian's docker-registry 2.8 as an upstream: with Basic, or with tokens of this registry."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import bcrypt
import yaml

from tests.clients.server import Server
from tests.documents import fences
from tests.ports import free_port

ISSUED, THERE = fences("docs/token-server.md", "yaml")
USERNAME, PASSWORD = "somebody", "somebody's password"


class TokenServer(Server):
    """A registry that issues the tokens of others, as docs/token-server.md says; alice may list their catalogs."""

    def configuration(self) -> dict[str, object]:
        found: dict[str, Any] = super().configuration()
        found["users"]["alice"]["groups"] = ["listers"]
        found |= yaml.safe_load(ISSUED)
        return found

    def section(self, folder: Path) -> dict[str, str]:
        """Return `auth.token` of the registry that trusts the tokens, with the public keys in `folder`."""
        keys = folder / "tokens.pem"
        keys.write_text(self.does("printjwks", "--certificates"))
        found: dict[str, str] = yaml.safe_load(THERE)["auth"]["token"]
        return found | {"realm": f"http://{self.host}/v2/token", "rootcertbundle": str(keys)}


class DockerRegistry:
    """A running docker-registry, and its access log."""

    def __init__(self, folder: Path, token: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._token = token
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.log = folder / "upstream.log"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "htpasswd").write_text(f"{USERNAME}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")

    def start(self) -> None:
        auth: dict[str, object] = {"htpasswd": {"realm": "upstream", "path": str(self.folder / "htpasswd")}}
        if self._token is not None:
            auth = {"token": self._token}
        configuration = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}, "level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "upstream")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
            "auth": auth,
        }
        (self.folder / "upstream.yml").write_text(yaml.safe_dump(configuration))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(self.folder / "upstream.yml")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def fetched(self, repository: str) -> dict[str, int]:
        """Return how often each blob of the repository was sent, by the access log."""
        counts: dict[str, int] = {}
        for line in self.log.read_text().splitlines():
            _, _, request = line.partition('"GET /v2/')
            path, _, rest = request.partition(" ")
            if path.startswith(f"{repository}/blobs/") and '" 200 ' in rest:
                digest = path.rpartition("/")[2]
                counts[digest] = counts.get(digest, 0) + 1
        return counts

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 401
        except OSError:
            return False
        finally:
            connection.close()


class FatalLine(ThreadingTCPServer):
    """A TCP proxy in front of the upstream, which is killed once a response on it has `after_bytes`."""

    daemon_threads = True

    def __init__(self, upstream: DockerRegistry, after_bytes: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream, self.after_bytes = upstream, after_bytes
        self.was_fatal = False

    @property
    def host(self) -> str:
        """The upstream's address on this line."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    server: FatalLine
    request: socket.socket

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.upstream.port)) as upstream:
            threading.Thread(target=self._forward, args=(self.request, upstream), daemon=True).start()
            self._forward(upstream, self.request)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        size = 0
        with suppress(OSError):
            while piece := source.recv(64 * 1024):
                sink.sendall(piece)
                size += len(piece)
                if size >= self.server.after_bytes and not self.server.was_fatal:
                    self.server.was_fatal = True
                    self.server.upstream.kill()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def running(registry: DockerRegistry) -> Iterator[DockerRegistry]:
    """Run the upstream during the block."""
    try:
        registry.start()
        yield registry
    finally:
        registry.kill()
