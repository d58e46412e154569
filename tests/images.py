"""Whole images, built and pushed in one line. Digests are computed, never pasted."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from distribution.protocol import spec
from tests.caller import Caller


@dataclass(frozen=True)
class Image:
    """An image as it was pushed."""

    repository: str
    payload: bytes
    digest: str
    config: str
    layers: tuple[str, ...]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """Return `algorithm:encoded`."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(content: bytes, media_type: str = spec.OCI_LAYER, **more: Any) -> dict[str, Any]:
    """Return the descriptor of `content`."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)} | more


def manifest(config: bytes, *layers: bytes, **more: Any) -> bytes:
    """Return an OCI image manifest."""
    body = {
        "schemaVersion": 2,
        "mediaType": spec.OCI_MANIFEST,
        "config": descriptor(config, spec.OCI_CONFIG),
        "layers": [descriptor(layer) for layer in layers],
    }
    return json.dumps(body | more).encode()


def index(*manifests: bytes, **more: Any) -> bytes:
    """Return an OCI index of `manifests`."""
    body = {
        "schemaVersion": 2,
        "mediaType": spec.OCI_INDEX,
        "manifests": [descriptor(payload, spec.OCI_MANIFEST) for payload in manifests],
    }
    return json.dumps(body | more).encode()


def push_blob(caller: Caller, repository: str, content: bytes) -> str:
    """Push one blob by a single POST and return its digest."""
    digest = digest_of(content)
    response = caller.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
    assert response.status_code == 201, response.content
    return digest


def put_manifest(caller: Caller, repository: str, reference: str, payload: bytes) -> Any:
    """Put a manifest under the media type that it names, and return the response."""
    media_type = json.loads(payload)["mediaType"]
    return caller.put(f"/v2/{repository}/manifests/{reference}", payload, content_type=media_type)


def push_image(caller: Caller, repository: str, tag: str, layer: bytes = b"a layer") -> Image:
    """Push config, one layer and their manifest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "of": layer.decode("latin-1")}).encode()
    payload = manifest(config, layer)
    for content in (config, layer):
        push_blob(caller, repository, content)
    response = put_manifest(caller, repository, tag, payload)
    assert response.status_code == 201, response.content
    return Image(repository, payload, digest_of(payload), digest_of(config), (digest_of(layer),))
