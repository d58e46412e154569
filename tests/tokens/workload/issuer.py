"""An OIDC issuer on this machine: TLS with an authority of its own, keys that rotate, tokens as a test wants them."""

import json
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "registry.example.com"


class Issuer:
    """The issuer at `url`; `asked` counts its requests. It answers nothing while `is_down`."""

    def __init__(self, folder: Path) -> None:
        self.keys: dict[str, Any] = {"first": rsa.generate_private_key(65537, 2048)}
        self.is_down, self.asked, self.jwks_uri, self.location = False, 0, "", ""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self)

            def log_message(self, *_args: Any) -> None:
                """Print nothing."""

        self.ca_file = folder / "ca.pem"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(folder, self.ca_file))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self.jwks_uri = f"{self.url}/keys"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        document = {"issuer": self.url, "jwks_uri": self.jwks_uri} if "well-known" in request.path else self.jwks()
        body = json.dumps(document).encode()
        request.send_response(503 if self.is_down else 302 if self.location else 200)
        if self.location:
            request.send_header("Location", self.location)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys."""
        kinds: Any = {True: RSAAlgorithm, False: ECAlgorithm}
        keys = []
        for kid, key in self.keys.items():
            kind = kinds[isinstance(key, rsa.RSAPrivateKey)]
            keys.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"})
        return {"keys": keys}

    def rotate(self, kid: str, *, is_ec: bool = False) -> None:
        """Replace the keys by a new one."""
        self.keys = {kid: ec.generate_private_key(ec.SECP256R1()) if is_ec else rsa.generate_private_key(65537, 2048)}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a job of org/app, as GitHub has them; None leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "repo:org/app:ref:refs/heads/main",
            "repository": "org/app",
            "ref": "refs/heads/main",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(
        self, kid: str = "", algorithm: str = "", headers: Any = None, secret: bytes = b"", **changes: Any
    ) -> str:
        """Return a signed token."""
        kid = kid or next(iter(self.keys))
        key = self.keys.get(kid) or next(iter(self.keys.values()))
        algorithm = algorithm or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        header = {"alg": algorithm, "kid": kid, "typ": "JWT"} | (headers or {})
        parts = [{name: value for name, value in header.items() if value is not None}, self.claims(**changes)]
        # By hand: PyJWT refuses to make most tokens of an attacker.
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
        if header["alg"] == "none":
            return f"{signed.decode()}."
        method: Any = jwt.get_algorithm_by_name(header["alg"])
        return f"{signed.decode()}.{_base64url(method.sign(signed, secret or key)).decode()}"

    @property
    def public_pem(self) -> bytes:
        """The first public key, as PEM."""
        public = next(iter(self.keys.values())).public_key()
        kind, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return bytes(public.public_bytes(kind, form))

    def run(self) -> threading.Thread:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


@contextmanager
def running(folder: Path) -> Iterator[Issuer]:
    """Run an issuer."""
    issuer = Issuer(folder)
    thread = issuer.run()
    try:
        yield issuer
    finally:
        issuer.close()
        thread.join()


def _certificate(folder: Path, ca_file: Path) -> Path:
    """Write a certificate of 127.0.0.1, which is its own authority; return the file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    ca_file.write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    together = folder / "issuer.pem"
    together.write_bytes(private + pem)
    return together
