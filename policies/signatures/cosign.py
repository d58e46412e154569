"""Signatures by cosign with a key: simple signing payloads (cosign 1 and 2), and sigstore bundles (cosign 3).

Source: SIGNATURE_SPEC.md of sigstore/cosign, and the DSSE protocol of secure-systems-lab. As in cosign, the repository
name in a payload decides nothing: a signature is about a digest.
"""

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from configuration.policies.trusted_keys import PublicKey, TrustedKeys

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
BUNDLE = "application/vnd.dev.sigstore.bundle"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"

_PAYLOAD_TYPE = "cosign container image signature"
_IN_TOTO = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
_OTHER_KEY = "its signature is by another key, or of other bytes"


class RefusedError(Exception):
    """The signature does not count; the message says why."""


def verify_payload(payload: bytes, signature: object, digest: str, keys: TrustedKeys) -> None:
    """Verify a simple signing payload with the base64 of its signature. Raises RefusedError."""
    _verify(decoded(signature), payload, keys)
    critical = _object(document(payload).get("critical"))
    if critical.get("type") != _PAYLOAD_TYPE:
        raise RefusedError("its payload is no container image signature")
    if _object(critical.get("image")).get("docker-manifest-digest") != digest:
        raise RefusedError("it signs another digest")


def verify_bundle(bundle: bytes, digest: str, keys: TrustedKeys) -> None:
    """Verify a sigstore bundle with an in-toto statement that signs the digest. Raises RefusedError.

    A statement of another kind, as an SBOM, is no approval of the image.
    """
    envelope = _object(document(bundle).get("dsseEnvelope"))
    payload_type, signatures = envelope.get("payloadType"), envelope.get("signatures")
    if payload_type != _IN_TOTO or not isinstance(signatures, list) or len(signatures) != 1:
        raise RefusedError("its bundle has no DSSE envelope with one signature of an in-toto statement")
    payload = decoded(envelope.get("payload"))
    signed = b"DSSEv1 %d %b %d %b" % (len(_IN_TOTO), _IN_TOTO.encode(), len(payload), payload)
    _verify(decoded(_object(signatures[0]).get("sig")), signed, keys)
    statement = document(payload)
    if statement.get("_type") not in _STATEMENTS or statement.get("predicateType") != SIGN_PREDICATE:
        raise RefusedError("its statement is an attestation, not a signature of the image")
    algorithm, _, value = digest.partition(":")
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or all(
        _object(_object(one).get("digest")).get(algorithm) != value for one in subjects
    ):
        raise RefusedError("it signs another digest")


def document(content: bytes) -> dict[str, Any]:
    """Return the JSON object. Raises RefusedError."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RefusedError("it is no JSON") from error
    if not isinstance(found, dict):
        raise RefusedError("it is no JSON object")
    return found


def decoded(value: object) -> bytes:
    """Return the bytes of a base64 string. Raises RefusedError."""
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError("it has a value that is no base64") from error


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _verify(signature: bytes, content: bytes, keys: TrustedKeys) -> None:
    if not keys.public_keys:
        raise RefusedError("it is by cosign, and the policy has no public key, only certificates")
    if not any(_is_by(key, signature, content) for key in keys.public_keys):
        raise RefusedError(_OTHER_KEY)


def _is_by(key: PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, content, PKCS1v15(), hashes.SHA256())
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, content, ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
