"""One key: PEM, JSON Web Key and thumbprint. Its kind decides its algorithm: RS256 for RSA, ES256 for EC P-256."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from core.private_files import KeyFileError

MIN_RSA_BITS = 2048
NEW_RSA_BITS = 2048
P256_BYTES = 32

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the `algorithm` and `kid` of a token's header.

    `signing` is None for a key that only verifies, `jwk` None for a secret key.
    """

    kid: str
    algorithm: str
    verifying: Any = field(repr=False)
    signing: Any = field(repr=False, default=None)
    jwk: dict[str, str] | None = None
    libtrust_id: str = ""
    """How version 2 of the registry of distribution calls it; "" for a secret key."""


def from_private_pem(path: Path, content: bytes) -> SigningKey:
    """Return the private key in `content`, read from `path`. Raises KeyFileError."""
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not a private key in PEM form without a password") from error
    if not isinstance(private, PrivateKey) or not _has_known_curve(private):
        raise KeyFileError(
            f"{path}: this key is neither RSA nor EC P-256; "
            f"run: openssl ecparam -name prime256v1 -genkey -noout -out {path}"
        )
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
        raise KeyFileError(f"{path}: {private.key_size} bits are too few, at least {MIN_RSA_BITS} are needed")
    return _key(private.public_key(), private)


def from_public_pem(path: Path, content: bytes) -> SigningKey:
    """Return the public key in `content`, read from `path`. Raises KeyFileError."""
    try:
        public = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not a public key in PEM form") from error
    if not isinstance(public, PublicKey) or not _has_known_curve(public):
        raise KeyFileError(f"{path}: this key is neither RSA nor EC P-256")
    return _key(public, None)


def new_private_pem(signing_method: str) -> bytes:
    """Return a new private key for `rsa` or `ecdsa`."""
    private: PrivateKey = (
        rsa.generate_private_key(public_exponent=65537, key_size=NEW_RSA_BITS)
        if signing_method == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return private_pem(_key(private.public_key(), private))


def private_pem(key: SigningKey) -> bytes:
    """Return a key that signs."""
    private: PrivateKey = key.signing
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: SigningKey) -> bytes:
    """Return the public half of a key."""
    public: PublicKey = key.verifying
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def thumbprint(members: dict[str, str]) -> str:
    """Return the SHA-256 thumbprint of a key's required members (RFC 7638, section 3)."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _has_known_curve(key: PrivateKey | PublicKey) -> bool:
    """Return whether the key is RSA or on P-256: the curve is a part of ES256 (RFC 7518, section 3.4)."""
    return isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) or isinstance(key.curve, ec.SECP256R1)


def _key(public: PublicKey, private: PrivateKey | None) -> SigningKey:
    if isinstance(public, rsa.RSAPublicKey):
        algorithm, of_rsa = "RS256", public.public_numbers()
        members = {"e": _base64url(of_rsa.e), "kty": "RSA", "n": _base64url(of_rsa.n)}
    else:
        algorithm, point = "ES256", public.public_numbers()
        # Coordinates keep their leading zeros (RFC 7518, section 6.2.1.2).
        x, y = (_base64url(number, P256_BYTES) for number in (point.x, point.y))
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    kid = thumbprint(members)
    jwk = {**members, "alg": algorithm, "use": "sig", "kid": kid}
    return SigningKey(kid, algorithm, public, private, jwk, _libtrust_id(public))


def _libtrust_id(public: PublicKey) -> str:
    """Return the fingerprint of libtrust: 240 bits of a SHA-256 in base 32, in groups of four."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _base64url(number: int, size: int = 0) -> str:
    data = number.to_bytes(size or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
