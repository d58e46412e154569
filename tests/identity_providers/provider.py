"""An OpenID provider that sends whatever ID token a test wants."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.ports import free_port

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider(ThreadingHTTPServer):
    """Answers discovery, its keys, and each code with `claims`; `metadata` is put over its own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.key: Any = KEY
        self.algorithm = "RS256"
        self.user_info: dict[str, Any] = {}
        self.forms: list[dict[str, list[str]]] = []

    def id_token(self) -> str:
        """Return the token that a code is exchanged for."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "registry", "iat": now, "exp": now + 60, "sub": "1", **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return ".".join([_part({"alg": "none"}), _part(claims), ""])
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": "1"})

    @contextmanager
    def running(self) -> Iterator["Provider"]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


@contextmanager
def packaged() -> Iterator[str]:
    """Run the provider of a package, and return its issuer."""
    port = free_port()
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(requests.ConnectionError):
                requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5)
                break
            time.sleep(0.05)
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        provider = self.server
        if self.path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            self._send({"keys": [key | {"kid": "1", "use": "sig", "alg": "RS256"}]})
            return
        if self.path == "/userinfo":
            self._send(provider.user_info)
            return
        self._send(
            {
                "issuer": provider.issuer,
                "authorization_endpoint": f"{provider.issuer}/authorize",
                "token_endpoint": f"{provider.issuer}/token",
                "jwks_uri": f"{provider.issuer}/keys",
                "userinfo_endpoint": f"{provider.issuer}/userinfo",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                **provider.metadata,
            }
        )

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.forms.append(parse_qs(self.rfile.read(length).decode()))
        self._send({"access_token": "x", "token_type": "Bearer", "id_token": self.server.id_token()})

    def _send(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""
