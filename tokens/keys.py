"""The key that signs tokens, and the keys that verify them, as the configuration names them.

Algorithm and key come from the configuration only; a token's `kid` merely picks one of the keys known here.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from tokens import key_file
from tokens.key_file import KeyFileError

MIN_RSA_BITS = 2048
NEW_RSA_BITS = 2048

# The one HMAC key has the same name on every replica; a thumbprint would publish a hash of the secret.
HMAC_KID = "hmac"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key: `algorithm` and `kid` as they stand in a token's header; `jwk` None when nothing is public."""

    kid: str
    algorithm: str
    signing: Any
    verifying: Any
    jwk: dict[str, str] | None


def ensure_keys() -> None:
    """Make the keys that do not exist yet. Raises KeyFileError with what is wrong, where and what to do."""
    active_key.cache_clear()
    active_key()


@lru_cache(maxsize=1)
def active_key() -> SigningKey:
    """Return the key that signs. Raises KeyFileError."""
    auth = settings.REGISTRY.auth
    if auth.signing_method == "hmac":
        secret = (auth.hmac_secret or "").encode()
        return SigningKey(HMAC_KID, "HS256", secret, secret, None)
    return _rsa_key(_private_path(), auth.public_key)


def verifying_key(kid: object) -> SigningKey | None:
    """Return the key called `kid`, None when there is none."""
    key = active_key()
    return key if kid == key.kid else None


def jwks() -> dict[str, list[dict[str, str]]]:
    """Return the public keys as a JSON Web Key Set (RFC 7517)."""
    jwk = active_key().jwk
    return {"keys": [jwk] if jwk is not None else []}


def _private_path() -> Path:
    registry = settings.REGISTRY
    return registry.auth.private_key or registry.server.data_directory / "keys" / "registry.key"


def _rsa_key(path: Path, public_path: Path | None) -> SigningKey:
    private = _parse_private(path, key_file.read_or_create(path, _new_private))
    public = private.public_key()
    _keep_public(public_path or path.with_suffix(".pub"), public)
    numbers = public.public_numbers()
    members = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
    kid = thumbprint(members)
    jwk = {**members, "alg": "RS256", "use": "sig", "kid": kid}
    return SigningKey(kid, "RS256", private, public, jwk)


def thumbprint(members: dict[str, str]) -> str:
    """Return the SHA-256 thumbprint of a key's required members (RFC 7638, section 3)."""
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _new_private() -> bytes:
    private = rsa.generate_private_key(public_exponent=65537, key_size=NEW_RSA_BITS)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _parse_private(path: Path, content: bytes) -> rsa.RSAPrivateKey:
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not an RSA private key in PEM form without a password") from error
    if not isinstance(private, rsa.RSAPrivateKey):
        raise KeyFileError(f"{path}: this key is not RSA; run: openssl genrsa -out {path} {NEW_RSA_BITS}")
    if private.key_size < MIN_RSA_BITS:
        raise KeyFileError(f"{path}: {private.key_size} bits are too few, at least {MIN_RSA_BITS} are needed")
    return private


def _keep_public(path: Path, public: rsa.RSAPublicKey) -> None:
    """Write the public key for whoever verifies tokens elsewhere; check it when it is there."""
    try:
        if path.exists():
            _check_public(path, public)
        else:
            _write_public(path, public)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; make it readable and its folder writable") from error


def _check_public(path: Path, public: rsa.RSAPublicKey) -> None:
    try:
        found = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not a public key in PEM form") from error
    if found != public:
        raise KeyFileError(f"{path}: does not belong to the private key; remove it, it is written anew at start")


def _write_public(path: Path, public: rsa.RSAPublicKey) -> None:
    content = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
