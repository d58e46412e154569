"""Secrets of webhooks in the database: what signs, and the headers."""

from core.db import sealing

MIN_CHARACTERS, MAX_CHARACTERS = 32, 256
_PURPOSE = b"webhooks.sealing"


class UnreadableSecretError(Exception):
    """Another `server.secret_key` has encrypted the secret."""


def seal(secret: str) -> bytes:
    """Return the secret as it is stored."""
    return sealing.seal(secret.encode(), _PURPOSE, _PURPOSE)


def unseal(sealed: bytes) -> str:
    """Return the secret. Raises UnreadableSecretError."""
    try:
        return sealing.unseal(sealed, _PURPOSE, _PURPOSE).decode()
    except sealing.OtherKeyError as error:
        raise UnreadableSecretError(
            "another server.secret_key has encrypted the secrets of this webhook: set secret and headers again"
        ) from error


def is_readable(sealed: bytes) -> bool:
    """Tell whether the current `server.secret_key` has encrypted the secret."""
    try:
        unseal(sealed)
    except UnreadableSecretError:
        return False
    return True


def keyed_hash(secret: str) -> str:
    """Return a hash by which an import sees that a secret has changed, without storing it."""
    return sealing.keyed_hash(secret.encode(), _PURPOSE)
