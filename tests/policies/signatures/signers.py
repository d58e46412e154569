"""Sign as cosign and notation do, with keys made here."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jwt.algorithms import get_default_algorithms

from policies.signatures.cosign import SIGN_PREDICATE

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey
CONTENT_TYPE = "application/vnd.cncf.notary.payload.v1+json"
SCHEME = "io.cncf.notary.signingScheme"


def public_pem(key: PrivateKey) -> str:
    """Return the public key as cosign writes cosign.pub."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = public_pem(KEY).strip()


def raw_signature(key: PrivateKey, content: bytes) -> bytes:
    """Sign as cosign does."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(hashes.SHA256()))
    return key.sign(content)


def payload_for(digest: str, type_: str = "cosign container image signature") -> bytes:
    """Return a simple signing payload."""
    critical = {
        "identity": {"docker-reference": "registry.example.com/team/app"},
        "image": {"docker-manifest-digest": digest},
        "type": type_,
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def signed_payload(key: PrivateKey, digest: str) -> tuple[bytes, str]:
    """Return a simple signing payload and the base64 of its signature."""
    payload = payload_for(digest)
    return payload, base64.b64encode(raw_signature(key, payload)).decode()


def bundle(key: PrivateKey, digest: str, predicate: str = SIGN_PREDICATE) -> bytes:
    """Return a sigstore bundle as cosign 3 makes it with a key."""
    algorithm, _, value = digest.partition(":")
    statement = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: value}}],
            "predicateType": predicate,
            "predicate": {},
        }
    ).encode()
    kind = "application/vnd.in-toto+json"
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(statement), statement)
    signature = base64.b64encode(raw_signature(key, signed)).decode()
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": kind,
        "signatures": [{"sig": signature}],
    }
    media_type = "application/vnd.dev.sigstore.bundle.v0.3+json"
    return json.dumps({"mediaType": media_type, "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()


def certificate(
    key: PrivateKey,
    name: str,
    issuer: tuple[x509.Certificate, PrivateKey] | None = None,
    *,
    is_authority: bool = False,
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
    begins_at: datetime | None = None,
    days: int = 365,
) -> x509.Certificate:
    """Return a certificate of the key, signed by itself without an issuer."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins_at = begins_at or datetime.now(UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if usages and not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    signer = issuer[1] if issuer else key
    return builder.sign(signer, None if isinstance(signer, Ed25519PrivateKey) else hashes.SHA256())


def certificate_pem(*certificates: x509.Certificate) -> str:
    """Return certificates as a trust store has them."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def envelope(
    key: PrivateKey,
    chain: Sequence[x509.Certificate],
    digest: str,
    *,
    algorithm: str = "ES256",
    content: Any = None,
    **attributes: Any,
) -> bytes:
    """Return a JWS envelope as notation makes it; `attributes` of None are left out."""
    header = {
        "alg": algorithm,
        "crit": [SCHEME],
        "cty": CONTENT_TYPE,
        SCHEME: "notary.x509",
        "io.cncf.notary.signingTime": "2026-11-30T10:00:00+01:00",
        **attributes,
    }
    kept = {name: value for name, value in header.items() if value is not None}
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 605}
    payload = _url(content if content is not None else json.dumps({"targetArtifact": target}).encode())
    protected = _url(json.dumps(kept).encode())
    known = get_default_algorithms()
    # `alg` may be none of them, which is what a test is about.
    signer = known.get(algorithm, known["ES256"])
    signature = signer.sign(f"{protected}.{payload}".encode(), key) if algorithm != "none" else b""
    x5c = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]
    return json.dumps(
        {"payload": payload, "protected": protected, "header": {"x5c": x5c}, "signature": _url(signature)}
    ).encode()


def _url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
