"""The key that signs tokens, and the keys that verify them, as the configuration names them.

Algorithm and keys come from the configuration only; a token's `kid` merely picks one of the keys known here. A
rotation counts at the next token in every process: one `stat` tells that the files changed.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from django.conf import settings

from core.private_files import KeyFileError
from tokens.keys.folder import KeyFolder
from tokens.keys.signing_key import SigningKey, from_secret

# A retiring key is kept beyond the life of its last token: clocks differ, and verifying allows for that.
GRACE_SECONDS = 300.0

_of_configuration: tuple[Any, KeyFolder | None] = None, None
_last_read: "tuple[KeyFolder, KeyRing] | None" = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one moment: the one that signs, and every one that verifies by its `kid`.

    `good_until` is when the next of the retiring keys is over, as `time.time` counts.
    """

    active: SigningKey
    by_kid: Mapping[str, SigningKey]
    good_until: float = math.inf

    @classmethod
    def of(cls, active: SigningKey, *others: SigningKey) -> "KeyRing":
        """Return the ring of these keys."""
        return cls(active, {key.kid: key for key in (*others, active)})


def ensure_keys() -> None:
    """Make the keys that do not exist yet. Raises KeyFileError with what is wrong, where and what to do."""
    if settings.REGISTRY.auth.signing_method == "rsa":
        key_folder().prepare()
    current()


def current() -> KeyRing:
    """Return the keys as they are now. Raises KeyFileError."""
    auth = settings.REGISTRY.auth
    if auth.signing_method == "hmac":
        return _hmac_ring(auth.hmac_secret or "")
    folder = key_folder()
    try:
        return _read(folder)
    except OSError as error:
        known = _known(folder, error)
        if known is None:
            raise KeyFileError(f"{folder.private}: {error.strerror}; it is made when the server starts") from error
        return known


def active_key() -> SigningKey:
    """Return the key that signs. Raises KeyFileError."""
    return current().active


def verifying_key(kid: object) -> SigningKey | None:
    """Return the key called `kid`, None when there is none."""
    return current().by_kid.get(kid) if isinstance(kid, str) else None


def jwks() -> dict[str, list[dict[str, str]]]:
    """Return the public keys as a JSON Web Key Set (RFC 7517): active, next and retiring."""
    return {"keys": [key.jwk for key in current().by_kid.values() if key.jwk is not None]}


def rotate() -> tuple[str, str]:
    """Let the next key sign; return the `kid` of the key that retires and of the one that signs now.

    Raises KeyFileError, also for a shared secret, which only the configuration can change.
    """
    if settings.REGISTRY.auth.signing_method == "hmac":
        raise KeyFileError("auth.hmac_secret: a shared secret is changed in the configuration, then restart")
    ensure_keys()
    before = active_key().kid
    key_folder().rotate()
    return before, active_key().kid


@lru_cache(maxsize=4)
def _hmac_ring(secret: str) -> KeyRing:
    return KeyRing.of(from_secret(secret))


@lru_cache(maxsize=4)
def _rsa_ring(folder: KeyFolder, stamp: tuple[int, int]) -> KeyRing:  # noqa: ARG001 - a changed stamp reads anew
    good_until = folder.next_end()
    return replace(KeyRing.of(folder.active(), *folder.others()), good_until=good_until)


def _read(folder: KeyFolder) -> KeyRing:
    """Return the keys that lie in the folder. Raises OSError, KeyFileError."""
    global _last_read  # noqa: PLW0603 - as below
    stamp = folder.stamp()
    found = _rsa_ring(folder, stamp)
    if found.good_until < time.time():
        # No file changes when a key has retired: the ring that was read before would count for ever.
        _rsa_ring.cache_clear()
        found = _rsa_ring(folder, stamp)
    _last_read = folder, found
    return found


def _known(folder: KeyFolder, error: OSError) -> KeyRing | None:
    """Return the keys as they were read last, None when there are none or one of them has retired since.

    A disk that went away ends no login. A key whose file alone is missing was taken away on purpose.
    """
    is_taken_away = isinstance(error, FileNotFoundError) and folder.private.parent.is_dir()
    if is_taken_away or _last_read is None:
        return None
    of_folder, known_ring = _last_read
    return known_ring if of_folder is folder and known_ring.good_until >= time.time() else None


def key_folder() -> KeyFolder:
    """Return the folder of the configuration; compared by identity, since comparing it costs more than a token."""
    global _of_configuration  # noqa: PLW0603 - one configuration a process
    configuration, folder = _of_configuration
    if folder is None or configuration is not settings.REGISTRY:
        configuration = settings.REGISTRY
        folder = _folder_of(configuration)
        _of_configuration = configuration, folder
    return folder


def _folder_of(configuration: Any) -> KeyFolder:
    auth = configuration.auth
    private = auth.private_key or configuration.server.data_directory / "keys" / "registry.key"
    public = auth.public_key or private.with_suffix(".pub")
    return KeyFolder(private, public, auth.expiration.total_seconds() + GRACE_SECONDS)
