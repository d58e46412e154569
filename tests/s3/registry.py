"""A registry whose blobs are in S3, and a client that pushes in chunks and pulls."""

import hashlib
import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from distribution.protocol import spec
from tests.clients.server import Answer, Server
from tests.s3.servers import S3Server

NAME = "alice/app"


class S3Registry(Server):
    """A registry with a bucket; `changes` replaces keys of `storage` or, below s3, its options."""

    def __init__(self, folder: Path, s3: S3Server, bucket: str, **changes: Any) -> None:
        super().__init__(folder)
        self.s3, self.bucket = s3, bucket
        self.options = s3.options(bucket) | changes.pop("options", {})
        self.storage_keys = changes

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "data_directory": str(self.data), "workers": 2}
        return super().configuration() | {"server": server, "storage": {"s3": self.options, **self.storage_keys}}

    def alice(self) -> dict[str, str]:
        """Return the headers of alice, who may push and pull."""
        return {"Authorization": f"Bearer {self.token('alice', f'repository:{NAME}:pull,push')}"}

    def push(self, chunks: Iterable[bytes], digest: str) -> Answer:
        """Push a blob, each of `chunks` by a PATCH, and return the answer to the closing PUT, or the first refusal."""
        headers = self.alice()
        begun = self.request("POST", f"/v2/{NAME}/blobs/uploads/", more=headers)
        location = begun.headers.get("location", "")
        if begun.status != 202:
            return begun
        for chunk in chunks:
            answer = self.request("PATCH", location, body=chunk, more=headers)
            if answer.status != 202:
                return answer
            location = answer.headers["location"]
        return self.request("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", more=headers)

    def push_whole(self, content: bytes) -> Answer:
        """Push a blob in one request."""
        path = f"/v2/{NAME}/blobs/uploads/?digest={digest_of(content)}"
        return self.request("POST", path, body=content, more=self.alice())

    def push_stream(self, content: Iterable[bytes], size: int, digest: str) -> Answer:
        """Push a blob in one request that is sent piece by piece; a refusal may come before its end."""
        headers = self.alice() | {"Content-Length": str(size)}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", content, headers)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())

    def put_manifest(self, tag: str, config: bytes, *layers: bytes) -> bytes:
        """Put an image of pushed blobs, and return its manifest."""
        payload = image_of(config, *layers)
        headers = self.alice() | {"Content-Type": spec.OCI_MANIFEST}
        answer = self.request("PUT", f"/v2/{NAME}/manifests/{tag}", body=payload, more=headers)
        assert answer.status == 201, answer.body
        return payload

    def get(self, digest: str, **more: str) -> Answer:
        """Ask for a blob, and follow no redirect."""
        return self.request("GET", f"/v2/{NAME}/blobs/{digest}", more=self.alice() | more)

    def pull(self, digest: str) -> str:
        """Return the digest of the bytes that a client receives, which follows a redirect."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", f"/v2/{NAME}/blobs/{digest}", headers=self.alice())
            response = connection.getresponse()
            if response.status == 307:
                with urlopen(response.headers["Location"], timeout=60) as redirected:
                    return f"sha256:{hashlib.file_digest(redirected, 'sha256').hexdigest()}"
            assert response.status == 200
            return f"sha256:{hashlib.file_digest(response, 'sha256').hexdigest()}"


def image_of(config: bytes, *layers: bytes) -> bytes:
    """Return the manifest of an image."""

    def described(content: bytes, kind: str) -> dict[str, object]:
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": spec.OCI_MANIFEST,
        "config": described(config, "config.v1+json"),
        "layers": [described(layer, "layer.v1.tar") for layer in layers],
    }
    return json.dumps(manifest).encode()


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pieces_of(content: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut `content` into chunks of `sizes`."""
    at = 0
    for size in sizes:
        yield content[at : at + size]
        at += size
