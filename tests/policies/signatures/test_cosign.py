"""Signatures by cosign."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from configuration.policies.trusted_keys import parse_keys
from policies.signatures.cosign import RefusedError, verify_bundle, verify_payload
from tests.policies.signatures.signers import (
    bundle,
    certificate,
    certificate_pem,
    payload_for,
    public_pem,
    raw_signature,
    signed_payload,
)

KEY = ec.generate_private_key(ec.SECP256R1())
KEYS = parse_keys(public_pem(KEY))
OTHERS = parse_keys(public_pem(ec.generate_private_key(ec.SECP256R1())))
DIGEST, OTHER_DIGEST = "sha256:" + "1" * 64, "sha256:" + "2" * 64

# A signature that cosign made, published with sigstore-rs.
REAL_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu
OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==
-----END PUBLIC KEY-----"""
REAL_DIGEST = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b"
REAL_PAYLOAD = (
    '{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},"image":'
    f'{{"docker-manifest-digest":"{REAL_DIGEST}"}},"type":"cosign container image signature"}},"optional":null}}'
).encode()
REAL_SIGNATURE = "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIgE0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8="


def test_a_signature_that_cosign_made_counts() -> None:
    verify_payload(REAL_PAYLOAD, REAL_SIGNATURE, REAL_DIGEST, parse_keys(REAL_KEY))


def test_one_that_cosign_made_is_not_by_another_key() -> None:
    with pytest.raises(RefusedError, match="another key"):
        verify_payload(REAL_PAYLOAD, REAL_SIGNATURE, REAL_DIGEST, KEYS)


@pytest.mark.parametrize(
    "key",
    [KEY, ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048), Ed25519PrivateKey.generate()],
    ids=["P-256", "P-384", "RSA", "Ed25519"],
)
def test_a_payload_and_a_bundle_by_a_trusted_key_count(key: Any) -> None:
    keys = parse_keys(public_pem(KEY) + public_pem(key))
    verify_payload(*signed_payload(key, DIGEST), DIGEST, keys)
    verify_bundle(bundle(key, DIGEST), DIGEST, keys)


def _signed(payload: bytes) -> tuple[bytes, str]:
    return payload, base64.b64encode(raw_signature(KEY, payload)).decode()


@pytest.mark.parametrize(
    ("payload", "signature", "message"),
    [
        (*signed_payload(KEY, OTHER_DIGEST), "another digest"),
        (payload_for(DIGEST), signed_payload(KEY, OTHER_DIGEST)[1], "another key, or of other bytes"),
        (payload_for(DIGEST), None, "no base64"),
        (payload_for(DIGEST), "?", "no base64"),
        (payload_for(DIGEST), "", "another key"),
        (*_signed(payload_for(DIGEST, "atomic container signature")), "no container image signature"),
        (*_signed(b"[]"), "no JSON object"),
        (*_signed(b"{"), "no JSON"),
        (*_signed(b'{"critical":[]}'), "no container image signature"),
        (*_signed(b'{"critical":{"type":"cosign container image signature","image":7}}'), "another digest"),
    ],
    # Signatures differ at each run; processes that share tests have to agree on their names.
    ids=range(10),
)
def test_a_payload_that_does_not_count_says_why(payload: bytes, signature: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        verify_payload(payload, signature, DIGEST, KEYS)


def _changed(**members: object) -> bytes:
    made = json.loads(bundle(KEY, DIGEST))
    made["dsseEnvelope"] |= members
    return json.dumps(made).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bundle(KEY, OTHER_DIGEST), "another digest"),
        (bundle(KEY, DIGEST, predicate="https://spdx.dev/Document"), "attestation"),
        (_changed(payloadType="text/plain"), "no DSSE envelope"),
        (_changed(signatures=[]), "no DSSE envelope"),
        (_changed(signatures=7), "no DSSE envelope"),
        (_changed(signatures=[7]), "no base64"),
        (_changed(payload=json.loads(bundle(KEY, OTHER_DIGEST))["dsseEnvelope"]["payload"]), "other bytes"),
        (b'{"messageSignature":{}}', "no DSSE envelope"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
    ids=range(10),
)
def test_a_bundle_that_does_not_count_says_why(content: bytes, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        verify_bundle(content, DIGEST, KEYS)


def test_a_bundle_by_another_key_does_not_count() -> None:
    with pytest.raises(RefusedError, match="another key"):
        verify_bundle(bundle(KEY, DIGEST), DIGEST, OTHERS)


def test_a_policy_with_certificates_alone_says_that_it_needs_a_public_key() -> None:
    keys = parse_keys(certificate_pem(certificate(KEY, "signer")))
    with pytest.raises(RefusedError, match="no public key"):
        verify_payload(*signed_payload(KEY, DIGEST), DIGEST, keys)
