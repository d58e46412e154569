"""What the checks share: the client, the credentials, the repository, and content that no registry has yet."""

import hashlib
import json
import os
import ssl
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from diagnostics.connection import Answer, Client

CHUNK_BYTES = 1024 * 1024
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY_CONFIG = b"{}"


class Layer:
    """Random bytes of a given size, made anew at each reading, so that they need no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._seed = os.urandom(16)
        self.digest = f"sha256:{self._hash()}"

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, at most CHUNK_BYTES at once."""
        for start in range(0, self.size, CHUNK_BYTES):
            seed = self._seed + start.to_bytes(8, "big")
            yield hashlib.shake_128(seed).digest(min(CHUNK_BYTES, self.size - start))

    def _hash(self) -> str:
        running = hashlib.sha256()
        for piece in self.pieces():
            running.update(piece)
        return running.hexdigest()


@dataclass
class Session:
    """One run of the checks. `token` is empty until the login."""

    client: Client
    tls: ssl.SSLContext
    account: str
    password: str
    repository: str
    layer_bytes: int
    pause_seconds: float
    token: str = ""
    realm: str = ""
    service: str = ""
    pushed: list[str] = field(default_factory=list)

    @property
    def basic(self) -> dict[str, str]:
        """Return the header with name and password."""
        encoded = b64encode(f"{self.account}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header with the token."""
        return {"Authorization": f"Bearer {self.token}"}

    def request_token(self) -> Answer:
        """Ask for a token to push to the repository, at the public URL whatever the realm says."""
        scope = f"repository:{self.repository}:pull,push,delete"
        query = urlencode({"service": self.service, "account": self.account, "scope": scope})
        return self.client.send("GET", f"/v2/token?{query}", self.basic)


def manifest_of(layer: Layer) -> bytes:
    """Return the manifest of an image with this one layer."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": digest_of(EMPTY_CONFIG),
            "size": len(EMPTY_CONFIG),
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size}],
    }
    return json.dumps(document).encode()


def digest_of(content: bytes) -> str:
    """Return `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
