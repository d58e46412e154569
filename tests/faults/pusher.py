"""A client that pushes whole images over HTTP, in every way that there is, and that a dead worker cuts off."""

import http.client
import json
import time
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from tests.clients.server import Answer, Server
from tests.images import digest_of, manifest

PATIENCE_SECONDS = 60
CONNECTION_ERRORS = (ConnectionError, http.client.HTTPException)
# Where the layers lie that other repositories mount.
SHARED = "alice/shared"


@dataclass(frozen=True)
class Artifact:
    """An image of two layers: `shared` is in another repository too, `parts` is what is new, piece by piece."""

    shared: bytes
    parts: tuple[bytes, ...]

    @property
    def layer(self) -> bytes:
        """The layer that is new."""
        return b"".join(self.parts)

    @cached_property
    def config(self) -> bytes:
        """The image's configuration."""
        return json.dumps({"architecture": "amd64", "os": "linux", "of": digest_of(self.layer)}).encode()

    @cached_property
    def payload(self) -> bytes:
        """The manifest."""
        return manifest(self.config, self.shared, self.layer)


class RefusedError(AssertionError):
    """The server gave another answer than was expected."""

    def __init__(self, what: str, answer: Answer) -> None:
        """Say what was asked."""
        super().__init__(f"{what}: {answer.status} {answer.body.decode()}")
        self.answer = answer


class Pusher:
    """Alice, at work in one repository."""

    def __init__(self, server: Server, repository: str) -> None:
        """Log in when a token is needed."""
        self.server = server
        self.repository = repository

    @cached_property
    def token(self) -> str:
        """A token for the repository and for what is mounted from SHARED."""
        scopes = [f"repository:{self.repository}:pull,push,delete", f"repository:{SHARED}:pull,push"]
        return self.server.token("alice", *scopes)

    def send(self, method: str, path: str, body: bytes | None = None, **more: str) -> Answer:
        """Send a request about the repository: `path` is what follows its name, or a whole path."""
        whole = path if path.startswith("/v2/") else f"/v2/{self.repository}/{path}"
        return self.server.request(method, whole, authorization=f"Bearer {self.token}", body=body, more=more)

    def insist(self, status: int, method: str, path: str, body: bytes | None = None) -> float:
        """Repeat a request while it is answered 503, as Retry-After says; return the seconds that it took."""
        begun_at = time.monotonic()
        while True:
            answer = self.send(method, path, body)
            waited = time.monotonic() - begun_at
            if answer.status == status:
                return waited
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or waited > PATIENCE_SECONDS:
                raise RefusedError(f"{method} {path} after {waited:.0f} s", answer)
            time.sleep(int(answer.headers["retry-after"]))

    def expect(self, status: int, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send a request that has to be answered with `status`. Raises RefusedError."""
        answer = self.send(method, path, body)
        if answer.status != status:
            raise RefusedError(f"{method} {path}", answer)
        return answer

    def push(self, image: Artifact, tag: str = "v1") -> None:
        """Push a whole image: one layer mounted, one in pieces, the configuration at once."""
        self.mount(image.shared)
        self.upload(*image.parts)
        self.upload_whole(image.config)
        self.expect(201, "PUT", f"manifests/{tag}", image.payload)

    def mount(self, blob: bytes) -> None:
        """Mount a blob of SHARED."""
        self.expect(201, "POST", f"blobs/uploads/?mount={digest_of(blob)}&from={SHARED}", b"")

    def start(self) -> str:
        """Open a session and return its location."""
        return self.expect(202, "POST", "blobs/uploads/", b"").headers["location"]

    def upload(self, *parts: bytes) -> None:
        """Push a blob by a PATCH for each part and a PUT without a body."""
        location = self.start()
        for part in parts:
            location = self.expect(202, "PATCH", location, part).headers["location"]
        self.expect(201, "PUT", f"{location}?digest={digest_of(b''.join(parts))}", b"")

    def upload_whole(self, blob: bytes) -> None:
        """Push a blob by one POST."""
        self.expect(201, "POST", f"blobs/uploads/?digest={digest_of(blob)}", blob)

    def pull(self, image: Artifact, tag: str = "v1") -> bool:
        """Return whether the image is there under `tag`, bit for bit."""
        manifest_there = self.send("GET", f"manifests/{tag}").body == image.payload
        blobs = (image.shared, image.layer, image.config)
        return manifest_there and all(self.send("GET", f"blobs/{digest_of(blob)}").body == blob for blob in blobs)
