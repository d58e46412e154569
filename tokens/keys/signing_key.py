"""One key: PEM, JSON Web Key and thumbprint."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.private_files import KeyFileError

MIN_RSA_BITS = 2048
NEW_RSA_BITS = 2048


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


def from_private_pem(path: Path, content: bytes) -> SigningKey:
    """Return the RSA key in `content`, read from `path`. Raises KeyFileError."""
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not an RSA private key in PEM form without a password") from error
    if not isinstance(private, rsa.RSAPrivateKey):
        raise KeyFileError(f"{path}: this key is not RSA; run: openssl genrsa -out {path} {NEW_RSA_BITS}")
    if private.key_size < MIN_RSA_BITS:
        raise KeyFileError(f"{path}: {private.key_size} bits are too few, at least {MIN_RSA_BITS} are needed")
    return _rsa_key(private.public_key(), private)


def from_public_pem(path: Path, content: bytes) -> SigningKey:
    """Return the public RSA key in `content`, read from `path`. Raises KeyFileError."""
    try:
        public = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not a public key in PEM form") from error
    if not isinstance(public, rsa.RSAPublicKey):
        raise KeyFileError(f"{path}: this key is not RSA")
    return _rsa_key(public, None)


def new_private_pem() -> bytes:
    """Return a new RSA private key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=NEW_RSA_BITS)
    return private_pem(_rsa_key(private.public_key(), private))


def private_pem(key: SigningKey) -> bytes:
    """Return an RSA key that signs."""
    private: rsa.RSAPrivateKey = key.signing
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: SigningKey) -> bytes:
    """Return the public half of an RSA key."""
    public: rsa.RSAPublicKey = key.verifying
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def thumbprint(members: dict[str, str]) -> str:
    """Return the SHA-256 thumbprint of a key's required members (RFC 7638, section 3)."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _rsa_key(public: rsa.RSAPublicKey, private: rsa.RSAPrivateKey | None) -> SigningKey:
    numbers = public.public_numbers()
    members = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
    kid = thumbprint(members)
    jwk = {**members, "alg": "RS256", "use": "sig", "kid": kid}
    return SigningKey(kid, "RS256", public, private, jwk)


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
