"""The signing key and the verifying keys of the configuration.

Algorithm and keys come from the configuration only; a token's `kid` only selects a known key. A rotation applies to the
next token in every process: a `stat` shows that the files have changed.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from core.private_files import KeyFileError
from tokens.keys.folder import KeyFolder
from tokens.keys.signing_key import SigningKey, from_secret

# A retiring key outlives its last token by the clock skew that verification tolerates.
GRACE_SECONDS = 300.0

_configured: tuple[Any, KeyFolder | None] = None, None
_last_read: "tuple[KeyFolder, KeyRing] | None" = None
# The keys of the database, and until which monotonic time they need not be read again.
_last_stored: "tuple[KeyRing, float] | None" = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The signing key, and all verifying keys by `kid`; valid until the Unix time `expires_at`."""

    active: SigningKey
    by_kid: Mapping[str, SigningKey]
    expires_at: float = math.inf

    @classmethod
    def of(cls, active: SigningKey, *others: SigningKey) -> "KeyRing":
        return cls(active, {key.kid: key for key in (*others, active)})


def ensure_keys() -> None:
    """Create missing keys and read all. Raises KeyFileError with path, fault and fix."""
    if is_stored():
        prepare_stored()
    elif settings.REGISTRY.auth.signing_method == "rsa":
        key_folder().prepare()
    current()


def is_stored() -> bool:
    """Return whether the keys are in the database."""
    auth = settings.REGISTRY.auth
    return auth.signing_method == "rsa" and auth.keys == "database"


def prepare_stored() -> None:
    """Store missing keys in the database. Raises KeyFileError."""
    from tokens.keys import stored  # it needs Django's apps, unlike files of keys

    stored.prepare(key_folder())


def forget() -> None:
    """Read the keys of the database again at the next use."""
    global _last_stored  # noqa: PLW0603 - as below
    _last_stored = None


def current() -> KeyRing:
    """Return the current keys. Raises KeyFileError."""
    auth = settings.REGISTRY.auth
    if auth.signing_method == "hmac":
        return _hmac_ring(auth.hmac_secret or "")
    if auth.keys == "database":
        return _stored_ring()
    folder = key_folder()
    try:
        return _read(folder)
    except OSError as error:
        known = _last_known(folder, error)
        if known is None:
            raise KeyFileError(f"{folder.private}: {error.strerror}; it is made when the server starts") from error
        return known


def active_key() -> SigningKey:
    """Return the signing key. Raises KeyFileError."""
    return current().active


def verifying_key(kid: object) -> SigningKey | None:
    """Return the key with this `kid`, None for an unknown one."""
    return current().by_kid.get(kid) if isinstance(kid, str) else None


def jwks() -> dict[str, list[dict[str, str]]]:
    """Return the public keys as a JSON Web Key Set (RFC 7517): active, next and retiring."""
    return {"keys": [key.jwk for key in current().by_kid.values() if key.jwk is not None]}


def rotate() -> tuple[str, str]:
    """Activate the next key; return the `kid` of the retiring and of the new key.

    Raises KeyFileError, also for a shared secret, which only the configuration can change.
    """
    if settings.REGISTRY.auth.signing_method == "hmac":
        raise KeyFileError("auth.hmac_secret: a shared secret is changed in the configuration, then restart")
    ensure_keys()
    before = active_key().kid
    if is_stored():
        from tokens.keys import stored

        stored.rotate(key_folder().keep_seconds)
        forget()
    else:
        key_folder().rotate()
    return before, active_key().kid


@lru_cache(maxsize=4)
def _hmac_ring(secret: str) -> KeyRing:
    return KeyRing.of(from_secret(secret))


@lru_cache(maxsize=4)
def _rsa_ring(folder: KeyFolder, stamp: tuple[int, int]) -> KeyRing:  # noqa: ARG001 - a changed stamp reads anew
    expires_at = folder.next_expiry()
    return replace(KeyRing.of(folder.active(), *folder.others()), expires_at=expires_at)


def _stored_ring() -> KeyRing:
    """Return the keys of the database, read every CACHE_SECONDS; while it fails, those that were read last."""
    global _last_stored  # noqa: PLW0603 - as below
    last = _last_stored
    if last is not None and time.monotonic() < last[1]:
        return last[0]
    from tokens.keys import stored

    try:
        active, others, seconds = stored.read(key_folder().keep_seconds)
    except DatabaseError:
        if last is None or last[0].expires_at < time.time():
            raise
        return last[0]
    found = replace(KeyRing.of(active, *others), expires_at=time.time() + seconds)
    _last_stored = found, time.monotonic() + min(seconds, stored.CACHE_SECONDS)
    return found


def _read(folder: KeyFolder) -> KeyRing:
    global _last_read  # noqa: PLW0603 - as below
    stamp = folder.stamp()
    found = _rsa_ring(folder, stamp)
    if found.expires_at < time.time():
        # No file changes when a key expires, so the cache would keep it.
        _rsa_ring.cache_clear()
        found = _rsa_ring(folder, stamp)
    _last_read = folder, found
    return found


def _last_known(folder: KeyFolder, error: OSError) -> KeyRing | None:
    """Return the keys that were read last, None if there are none or one has expired.

    A failed disk ends no login, but a missing key file in an existing folder was removed on purpose.
    """
    is_taken_away = isinstance(error, FileNotFoundError) and folder.private.parent.is_dir()
    if is_taken_away or _last_read is None:
        return None
    of_folder, known_ring = _last_read
    return known_ring if of_folder is folder and known_ring.expires_at >= time.time() else None


def key_folder() -> KeyFolder:
    # Compared by identity: equality costs more than verifying a token.
    global _configured  # noqa: PLW0603 - one configuration a process
    configuration, folder = _configured
    if folder is None or configuration is not settings.REGISTRY:
        configuration = settings.REGISTRY
        auth = configuration.auth
        private = auth.private_key or configuration.server.data_directory / "keys" / "registry.key"
        public = auth.public_key or private.with_suffix(".pub")
        folder = KeyFolder(private, public, auth.expiration.total_seconds() + GRACE_SECONDS)
        _configured = configuration, folder
    return folder
