"""Secrets in columns: encrypted with AES-GCM by a key derived from `server.secret_key`, one for each purpose.

A copy of the table tells nothing, and a secret that is moved to another place, `about` something else, is unreadable.
"""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE_BYTES = 12


class OtherKeyError(Exception):
    """Another `server.secret_key` has encrypted the secret, or it is of another place."""


def seal(secret: bytes, purpose: bytes, about: bytes) -> bytes:
    """Return the secret as it is stored."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(purpose).encrypt(nonce, secret, about)


def unseal(sealed: bytes, purpose: bytes, about: bytes) -> bytes:
    """Return the secret. Raises OtherKeyError."""
    try:
        return _cipher(purpose).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except InvalidTag as error:
        raise OtherKeyError from error


def keyed_hash(secret: bytes, purpose: bytes) -> str:
    """Return an HMAC-SHA256 in hexadecimal: it tells equal secrets, and lets nobody without the key guess one."""
    return hmac.new(_key(purpose + b".hash"), secret, hashlib.sha256).hexdigest()


def _cipher(purpose: bytes) -> AESGCM:
    return AESGCM(_key(purpose))


def _key(purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(settings.SECRET_KEY.encode())
