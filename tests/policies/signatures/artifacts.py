"""Artifacts that hold signatures, as cosign and notation push them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from distribution.protocol import spec
from tests.caller import Caller
from tests.images import descriptor, digest_of, manifest, push_blob, put_manifest
from tests.policies.signatures.signers import PrivateKey, bundle, envelope, signed_payload

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOTARY = "application/vnd.cncf.notary.signature"
EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Artifact:
    """A manifest with its blobs; without a tag it is put under its digest."""

    payload: bytes
    blobs: tuple[bytes, ...]
    tag: str = ""

    @property
    def digest(self) -> str:
        return digest_of(self.payload)

    def push(self, caller: Caller, repository: str, tag: str = "") -> "Artifact":
        for blob in self.blobs:
            push_blob(caller, repository, blob)
        response = put_manifest(caller, repository, tag or self.tag or self.digest, self.payload)
        assert response.status_code == 201, response.content
        return self


def by_tag(key: PrivateKey, digest: str, *more: tuple[bytes, str]) -> Artifact:
    """Return what cosign 2 pushes under the tag of a digest; `more` are earlier payloads with their signatures."""
    signed = [*more, signed_payload(key, digest)]
    config = json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    layers = [
        descriptor(payload, SIMPLE, annotations={"dev.cosignproject.cosign/signature": signature})
        for payload, signature in signed
    ]
    blobs = (config, *(payload for payload, _ in signed))
    return Artifact(manifest(config, layers=layers), blobs, f"{digest.replace(':', '-')}.sig")


def referrer(
    subject: bytes, artifact_type: str, *contents: tuple[str, bytes], config: str = EMPTY, **more: Any
) -> Artifact:
    """Return an artifact whose subject is a manifest, with layers of pairs of media type and content."""
    about = descriptor(subject, json.loads(subject)["mediaType"])
    members: dict[str, Any] = {
        "config": descriptor(b"{}", config),
        "artifactType": artifact_type,
        "layers": [descriptor(content, media_type) for media_type, content in contents],
        "subject": about,
    }
    members |= {"schemaVersion": 2, "mediaType": spec.OCI_MANIFEST} | more
    return Artifact(json.dumps(members).encode(), (b"{}", *(content for _, content in contents)))


def bundled(key: PrivateKey, subject: bytes, digest: str = "") -> Artifact:
    """Return what cosign 3 pushes: a referrer with a bundle."""
    return referrer(subject, BUNDLE, (BUNDLE, bundle(key, digest or digest_of(subject))))


def notarized(key: PrivateKey, chain: Sequence[x509.Certificate], subject: bytes, **attributes: Any) -> Artifact:
    """Return what notation pushes: a referrer with a JWS envelope."""
    content = envelope(key, chain, digest_of(subject), **attributes)
    return referrer(subject, NOTARY, ("application/jose+json", content), config=NOTARY)


def sbom(subject: bytes, media_type: str = "application/spdx+json", content: bytes = b"{}") -> Artifact:
    """Return a referrer that is no signature."""
    return referrer(subject, media_type, (media_type, content))
