"""The signing key and the verifying keys of the configuration.

Algorithm and keys come from the configuration only; a token's `kid` only selects a known key. A rotation applies to the
next token in every process: a `stat` shows that the files have changed.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from core.private_files import KeyFileError
from tokens.keys.folder import KeyFolder
from tokens.keys.signing_key import SigningKey

# The same on every replica; a thumbprint would publish a hash of the secret.
HMAC_KID = "hmac"
# A retiring key outlives its last token by the clock skew that verification tolerates.
GRACE_SECONDS = 300.0

_configured: tuple[Any, KeyFolder | None] = None, None
# The stamp shows whether the files of the folder have changed since.
_last_read: "tuple[KeyFolder, tuple[int, int], KeyRing] | None" = None
# The keys of the database, and until which monotonic time they need not be read again.
_last_stored: "tuple[KeyRing, float] | None" = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The signing key, and all verifying keys by `kid`; valid until the Unix time `expires_at`."""

    active: SigningKey
    by_kid: Mapping[str, SigningKey]
    expires_at: float = math.inf


def ensure_keys() -> None:
    """Create missing keys and read all. Raises KeyFileError with path, fault and fix."""
    if is_stored():
        prepare_stored()
    elif settings.REGISTRY.auth.signing_method != "hmac":
        key_folder().prepare()
    current()


def is_stored() -> bool:
    """Return whether the keys are in the database."""
    auth = settings.REGISTRY.auth
    return auth.signing_method != "hmac" and auth.keys == "database"


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


def rotate() -> tuple[str, str]:
    """Activate the next key; return the `kid` of the retiring and of the new key.

    Raises KeyFileError, also for a shared secret, which only the configuration can change.
    """
    if settings.REGISTRY.auth.signing_method == "hmac":
        raise KeyFileError("auth.hmac_secret: a shared secret is changed in the configuration, then restart")
    ensure_keys()
    before = current().active.kid
    if is_stored():
        from tokens.keys import stored

        stored.rotate(key_folder().keep_seconds)
        forget()
    else:
        key_folder().rotate()
    return before, current().active.kid


@lru_cache(maxsize=4)
def _hmac_ring(secret: str) -> KeyRing:
    key = SigningKey(HMAC_KID, "HS256", secret.encode(), secret.encode())
    return KeyRing(key, {key.kid: key})


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
    found = KeyRing(active, {key.kid: key for key in (*others, active)}, time.time() + seconds)
    _last_stored = found, time.monotonic() + min(seconds, stored.CACHE_SECONDS)
    return found


def _read(folder: KeyFolder) -> KeyRing:
    """Return the keys of the folder; read again after a change, or once a key has expired. Raises OSError."""
    global _last_read  # noqa: PLW0603 - as below
    stamp = folder.stamp()
    if _last_read is not None:
        of_folder, known_stamp, known = _last_read
        # No file changes when a key expires.
        if of_folder is folder and known_stamp == stamp and known.expires_at >= time.time():
            return known
    expires_at = folder.next_expiry()
    active = folder.active()
    found = KeyRing(active, {key.kid: key for key in (*folder.others(), active)}, expires_at)
    _last_read = folder, stamp, found
    return found


def _last_known(folder: KeyFolder, error: OSError) -> KeyRing | None:
    """Return the keys that were read last, None if there are none or one has expired.

    A failed disk ends no login, but a missing key file in an existing folder was removed on purpose.
    """
    is_taken_away = isinstance(error, FileNotFoundError) and folder.private.parent.is_dir()
    if is_taken_away or _last_read is None:
        return None
    of_folder, _, known_ring = _last_read
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
        folder = KeyFolder(private, public, auth.expiration.total_seconds() + GRACE_SECONDS, auth.signing_method)
        _configured = configuration, folder
    return folder
