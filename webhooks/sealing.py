"""Secrets of webhooks in the database."""

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
            "another server.secret_key has encrypted the secret of this webhook: set the secret again"
        ) from error
