"""Debian's docker-registry 2.8 as an upstream: with Basic, or with the tokens of a realm of this module."""

import base64
import hashlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import parse_qs, urlsplit

import bcrypt
import jwt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tests.ports import free_port
from tests.upstreams.fake import basic, send

USERNAME, PASSWORD = "somebody", "somebody's password"


class Realm:
    """Gives tokens that docker-registry takes to somebody with the right password."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / "realm.pem"
        self.certificate.write_bytes(self._certificate())
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        encoded = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        # As libtrust names a key.
        self._kid = ":".join(encoded[start : start + 4] for start in range(0, len(encoded), 4))
        realm = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                realm.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Give a token for every scope that is asked for."""
        if request.headers.get("Authorization") != basic(USERNAME, PASSWORD):
            send(request, 401, b"{}")
            return
        asked = parse_qs(urlsplit(request.path).query)
        access = []
        for scope in asked.get("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims: dict[str, object] = {"iss": "realm", "sub": USERNAME, "aud": "upstream", "access": access}
        claims |= {"iat": now, "nbf": now - 5, "exp": now + 300, "jti": "1"}
        token = jwt.encode(claims, self._key, "ES256", {"kid": self._kid})
        send(request, 200, json.dumps({"token": token, "expires_in": 300}).encode())

    def _certificate(self) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "realm")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), 1)
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


class DockerRegistry:
    """A running docker-registry, and its access log."""

    def __init__(self, folder: Path, *, has_tokens: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.log = folder / "upstream.log"
        self.realm = Realm(folder) if has_tokens else None
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "htpasswd").write_text(f"{USERNAME}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")

    def start(self) -> None:
        auth: dict[str, object] = {"htpasswd": {"realm": "upstream", "path": str(self.folder / "htpasswd")}}
        if self.realm is not None:
            named = {"service": "upstream", "issuer": "realm", "rootcertbundle": str(self.realm.certificate)}
            auth = {"token": {"realm": self.realm.url, **named}}
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
        if registry.realm is not None:
            registry.realm.server.shutdown()
            registry.realm.server.server_close()
