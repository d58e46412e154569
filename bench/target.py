"""The registry that requests are made for, and the requests of the protocol as bytes."""

import hashlib
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.content import Blob
from bench.peers import Peer
from bench.request import Check, Operation, Request
from bench.response import Response
from distribution.protocol import spec

REPOSITORY = "alice/bench"
PUSHED = "alice/pushed"
TAGGED = "alice/tagged"
CATALOG_PREFIX = "alice/catalog-"
ACCEPT = "Accept: " + ", ".join((*spec.MANIFEST_TYPES, "*/*")) + "\r\n"
PULL = f"repository:{REPOSITORY}:pull"
PUSH = f"repository:{PUSHED}:pull,push"


@dataclass(frozen=True, slots=True)
class Target:
    """A registry and what it asks for; requests are good for as long as its tokens are."""

    peer: Peer

    def request(
        self,
        method: str,
        path: str,
        authorization: str,
        *,
        body: bytes | None = None,
        media_type: str = spec.OCTET_STREAM,
        more: str = "",
        status: int = 200,
        length: int | None = None,
        check: Check | None = None,
    ) -> Request:
        """Return a request; a short body is sent with its head."""
        host, port = self.peer.address
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: bench\r\n{authorization}{more}"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        if body:
            head += f"Content-Type: {media_type}\r\n"
        return Request(f"{head}\r\n".encode() + (body or b""), (), status, length, check)

    def patch_chunked(self, session: str, authorization: str, body: tuple[memoryview, ...]) -> Request:
        """Return the request that appends a long body, which is chunks already."""
        more = f"Content-Type: {spec.OCTET_STREAM}\r\nTransfer-Encoding: chunked\r\n"
        head = self.request("PATCH", session, authorization, more=more)
        return Request(head.wire, body, 202)

    def put_long(self, session: str, authorization: str, blob: Blob) -> Request:
        """Return the request that completes an upload with a long body."""
        more = f"Content-Type: {spec.OCTET_STREAM}\r\nContent-Length: {blob.size}\r\n"
        head = self.request("PUT", with_digest(session, blob.digest), authorization, more=more)
        return Request(head.wire, (blob.common, memoryview(blob.tail)), 201)

    def start_upload(self, repository: str, authorization: str) -> Request:
        """Return the request that opens an upload session."""
        return self.request("POST", f"/v2/{repository}/blobs/uploads/", authorization, body=b"", status=202)

    def put_manifest(self, repository: str, reference: str, authorization: str, payload: bytes) -> Request:
        """Return the request that puts a manifest."""
        path = f"/v2/{repository}/manifests/{reference}"
        return self.request("PUT", path, authorization, body=payload, media_type=spec.OCI_MANIFEST, status=201)

    def push_blob(self, repository: str, authorization: str, blob: Blob) -> Operation:
        """Push a short blob as containerd does: POST, then PUT with all the bytes."""
        session = location((yield self.start_upload(repository, authorization)))
        path = with_digest(session, blob.digest)
        yield self.request("PUT", path, authorization, body=blob.content, status=201)

    def push_long_blob(self, repository: str, authorization: str, blob: Blob) -> Operation:
        """Push a long blob in the same way, with bytes that are not copied."""
        session = location((yield self.start_upload(repository, authorization)))
        yield self.put_long(session, authorization, blob)


def location(response: Response) -> str:
    """Return path and query of the Location, which may be a whole URL."""
    parts = urlsplit(response.header("Location"))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def with_digest(session: str, digest: str) -> str:
    """Return the address that completes an upload."""
    return f"{session}{'&' if '?' in session else '?'}digest={digest}"


def has_digest(digest: str) -> Check:
    """Return a check that the body has this digest."""
    return lambda response: f"sha256:{hashlib.sha256(response.body).hexdigest()}" == digest


def holds(key: str, count: int) -> Check:
    """Return a check that the body is a JSON object with so many texts under `key`."""

    def check(response: Response) -> bool:
        found = json.loads(response.body)[key]
        return len(set(found)) == count

    return check


def has_token(response: Response) -> bool:
    """Tell whether the body is a JSON object with a signed token."""
    return str(json.loads(response.body)["token"]).count(".") == 2
