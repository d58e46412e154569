"""Passwords of upstreams in the database."""

from core.db import sealing

_PURPOSE = b"upstreams.sealing"


class UnreadablePasswordError(Exception):
    """Another `server.secret_key` has encrypted the password."""


def seal(password: str) -> bytes:
    """Return the password as it is stored."""
    return sealing.seal(password.encode(), _PURPOSE, _PURPOSE)


def keyed_hash(password: str) -> str:
    """Return a hash by which an import sees that a password has changed, without storing it."""
    return sealing.keyed_hash(password.encode(), _PURPOSE)


def unseal(sealed: bytes) -> str:
    """Return the password. Raises UnreadablePasswordError."""
    try:
        return sealing.unseal(sealed, _PURPOSE, _PURPOSE).decode()
    except sealing.OtherKeyError as error:
        raise UnreadablePasswordError(
            "another server.secret_key has encrypted the password of this proxy: set the password again"
        ) from error
