"""Manifests that hold signatures."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from configuration.policies.trusted_keys import parse_keys
from policies.signatures import artifact
from policies.signatures.cosign import RefusedError
from tests.policies.signatures.signers import (
    bundle,
    certificate,
    certificate_pem,
    envelope,
    public_pem,
    signed_payload,
)

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY, "signer")
KEYS = parse_keys(public_pem(KEY) + certificate_pem(CERTIFICATE))
DIGEST = "sha256:" + "1" * 64
NOW = datetime.now(UTC)

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def _layer(media_type: str, blob: str, signature: str | None = None) -> dict[str, object]:
    layer: dict[str, object] = {"mediaType": media_type, "digest": blob, "size": 1}
    return layer | ({"annotations": {"dev.cosignproject.cosign/signature": signature}} if signature else {})


def _verify(layers: object, blobs: Mapping[str, bytes]) -> datetime:
    manifest = json.dumps({"schemaVersion": 2, "layers": layers}).encode()

    def read(digest: str, limit: int) -> bytes | None:
        content = blobs.get(digest)
        return content if content is not None and len(content) <= limit else None

    return artifact.verify(manifest, read, DIGEST, KEYS, NOW)


PAYLOAD, SIGNATURE = signed_payload(KEY, DIGEST)
_, OTHER_SIGNATURE = signed_payload(OTHER, DIGEST)


def test_one_layer_of_several_is_enough() -> None:
    layers = [_layer(SIMPLE, "a", OTHER_SIGNATURE), _layer(SIMPLE, "a", SIGNATURE)]
    assert _verify(layers, {"a": PAYLOAD}) == datetime.max.replace(tzinfo=UTC)


def test_a_bundle_and_an_envelope_are_told_apart_by_their_media_type() -> None:
    _verify([_layer(BUNDLE, "a")], {"a": bundle(KEY, DIGEST)})
    until = _verify([_layer("application/jose+json", "a")], {"a": envelope(KEY, [CERTIFICATE], DIGEST)})
    assert until == CERTIFICATE.not_valid_after_utc


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no signature that is verified here"),
        (None, "no signature that is verified here"),
        ([7], "without media type or digest"),
        ([_layer("application/vnd.oci.image.layer.v1.tar", "a")], "no signature that is verified here"),
        ([_layer("application/cose", "a")], "COSE envelope"),
        ([_layer(SIMPLE, "a")], "no base64"),
        ([{"mediaType": SIMPLE, "digest": "a", "annotations": []}], "no base64"),
        ([_layer(SIMPLE, "missing", SIGNATURE)], "its layer is missing"),
        ([_layer(SIMPLE, "large", SIGNATURE)], "larger than 1024 KiB"),
        ([_layer(SIMPLE, "a", SIGNATURE)] + [_layer("text/plain", "a")] * 100, "no signature that is verified here"),
    ],
)
def test_a_manifest_without_a_signature_that_counts_says_why(layers: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        _verify(layers, {"a": PAYLOAD, "large": b" " * (1024 * 1024 + 1)})


def test_a_manifest_that_is_no_json_has_no_signature() -> None:
    with pytest.raises(RefusedError, match="no JSON"):
        artifact.verify(b"\xff", lambda *_: None, DIGEST, KEYS, NOW)
