"""What the checks share: the client, the credentials, the repository, and content that no registry has yet."""

import hashlib
import json
import os
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from diagnostics.connection import Answer, Client
from distribution.protocol import spec
from distribution.protocol.digest import Digest, new_hash

CHUNK_BYTES = 1024 * 1024
EMPTY_CONFIG = b"{}"
_TOKEN = re.compile(r"[!-~]+")


class Layer:
    """Random bytes of a given size, made anew at each reading, so that they need no memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._seed = os.urandom(16)
        running = new_hash()
        for piece in self.pieces():
            running.update(piece)
        self.digest = Digest("sha256", running.hexdigest())

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, at most CHUNK_BYTES at once."""
        for start in range(0, self.size, CHUNK_BYTES):
            seed = self._seed + start.to_bytes(8, "big")
            yield hashlib.shake_128(seed).digest(min(CHUNK_BYTES, self.size - start))


@dataclass
class Session:
    """One run of the checks. There is no token until the first `log_in`."""

    client: Client
    tls: ssl.SSLContext
    account: str
    password: str
    repository: str
    layer_bytes: int
    pause_seconds: float
    realm: str = ""
    service: str = ""
    pushed: list[str] = field(default_factory=list)
    _token: str = ""
    _renew_at: float = 0.0

    @property
    def basic(self) -> dict[str, str]:
        """Return the header with name and password."""
        # What was typed in another encoding than UTF-8 arrives as surrogates, which stand for its bytes.
        encoded = b64encode(f"{self.account}:{self.password}".encode("utf-8", "surrogateescape")).decode()
        return {"Authorization": f"Basic {encoded}"}

    @property
    def bearer(self) -> dict[str, str]:
        """Return the header with the token, a new one after half of its lifetime: a push may take longer than that."""
        if time.monotonic() > self._renew_at:
            self.log_in()
        return {"Authorization": f"Bearer {self._token}"}

    def log_in(self) -> tuple[Answer, bool]:
        """Ask for a token to push to the repository; return the answer, and whether it has one.

        The request goes to the public URL, whatever the realm says.
        """
        scope = f"repository:{self.repository}:pull,push,delete"
        query = urlencode({"service": self.service, "account": self.account, "scope": scope}, errors="surrogateescape")
        answer = self.client.send("GET", f"/v2/token?{query}", self.basic)
        token, lifetime = answer.document.get("token"), answer.document.get("expires_in")
        if answer.status != 200 or not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return answer, False
        self._token = token
        self._renew_at = time.monotonic() + (min(lifetime, 3600) if isinstance(lifetime, int) else 60) / 2
        return answer, True


def manifest_of(layer: Layer) -> bytes:
    """Return the manifest of an image with this one layer."""
    document = {
        "schemaVersion": 2,
        "mediaType": spec.OCI_MANIFEST,
        "config": {"mediaType": spec.OCI_EMPTY, "digest": str(Digest.of(EMPTY_CONFIG)), "size": len(EMPTY_CONFIG)},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(layer.digest), "size": layer.size}
        ],
    }
    return json.dumps(document).encode()
