"""Secrets of webhooks in the database: encrypted with AES-GCM by a key derived from `server.secret_key`."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

MIN_CHARACTERS, MAX_CHARACTERS = 32, 256
_NONCE_BYTES = 12
_INFO = b"webhooks.sealing"


class UnreadableSecretError(Exception):
    """Another `server.secret_key` has encrypted the secret."""


def seal(secret: str) -> bytes:
    """Return the secret as it is stored."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_key()).encrypt(nonce, secret.encode(), _INFO)


def unseal(sealed: bytes) -> str:
    """Return the secret. Raises UnreadableSecretError."""
    try:
        return AESGCM(_key()).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _INFO).decode()
    except InvalidTag as error:
        raise UnreadableSecretError(
            "another server.secret_key has encrypted the secret of this webhook: set the secret again"
        ) from error


def mark(secret: str) -> str:
    """Return a keyed hash, by which the import tells whether a secret has changed."""
    return hmac.new(_key(), secret.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=_INFO).derive(settings.SECRET_KEY.encode())
