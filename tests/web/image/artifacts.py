"""Artifacts beside an image: an index, an SBOM, a signature, an attestation."""

import json
from typing import Any

from distribution.protocol.spec import OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from tests.caller import Caller
from tests.images import descriptor, digest_of, push_blob, put_manifest

REPOSITORY = "alice/app"
PAGE = f"/repositories/{REPOSITORY}/-/"
IN_TOTO = "application/vnd.in-toto+json"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def blob(caller: Caller, content: object, media_type: str, repository: str = REPOSITORY, **more: Any) -> dict[str, Any]:
    """Push a blob, JSON unless it is bytes, and return its descriptor."""
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    push_blob(caller, repository, payload)
    return descriptor(payload, media_type, **more)


def put(caller: Caller, document: dict[str, Any], reference: str = "", repository: str = REPOSITORY) -> dict[str, Any]:
    """Put a manifest, without a tag by its digest, and return its descriptor."""
    payload = json.dumps(document).encode()
    answer = put_manifest(caller, repository, reference or digest_of(payload), payload)
    assert answer.status_code == 201, answer.content
    return descriptor(payload, document["mediaType"])


def image(caller: Caller, config: object, *layers: bytes, reference: str = "", **more: Any) -> dict[str, Any]:
    """Push an image and return its descriptor."""
    named = [blob(caller, layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers]
    described = {"config": blob(caller, config, OCI_CONFIG), "layers": named}
    return put(caller, {"schemaVersion": 2, "mediaType": OCI_MANIFEST} | described | more, reference)


def artifact(
    caller: Caller, artifact_type: str, *layers: dict[str, Any], reference: str = "", **more: Any
) -> dict[str, Any]:
    """Push an artifact with pushed layers and return its descriptor."""
    described = {"artifactType": artifact_type, "config": blob(caller, {}, OCI_EMPTY), "layers": list(layers)}
    return put(caller, {"schemaVersion": 2, "mediaType": OCI_MANIFEST} | described | more, reference)


def index(caller: Caller, *entries: dict[str, Any], reference: str = "", **more: Any) -> dict[str, Any]:
    """Push an index of these entries and return its descriptor."""
    return put(caller, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)} | more, reference)


def platform(architecture: str, system: str = "linux") -> dict[str, Any]:
    """Return the member of an index's entry."""
    return {"platform": {"os": system, "architecture": architecture}}


def document(caller: Caller, content: object, media_type: str) -> str:
    """Push an artifact of one document and return the address of its page."""
    layer = blob(caller, content, media_type)
    return f"{PAGE}{artifact(caller, media_type, layer)['digest']}/contents/{layer['digest']}"
