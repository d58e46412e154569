"""Check a name and a password, and cache the result for a short time.

bcrypt at cost 10 takes 59 ms of CPU: 17 logins a second per core. So each process caches verified passwords under an
HMAC of name, password and stored hash: a changed password misses the cache at once, and the account itself is always
read at the current permissions version. Wrong passwords are cached until that version changes, so a client that repeats
an old password counts as one guess. What an identity provider has answered is cached for at most its own cache time.
"""

import hmac
import os
import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts import hashers, permissions_version, providers
from accounts.identity import Identity, credential_hash_of, identity_of
from accounts.names import ACCOUNT_NAME
from accounts.throttling import known_networks, throttle
from accounts.throttling.password_queue import BusyError, PasswordQueue
from core.api.notes import HasMeta
from core.caches import TTLCache, VersionedCache

__all__ = ["BusyError", "TooManyFailuresError", "identify", "place", "remembered"]

CACHE_SECONDS = 300
QUEUE_SECONDS = 10
# Logins that wait for a provider at once, in each process: they take no core, and a provider that hangs all of them.
PROVIDER_PLACES = 8

_secret = secrets.token_bytes(32)
_verified: TTLCache[str] = TTLCache(CACHE_SECONDS, name="passwords")
_refused: TTLCache[bool] = TTLCache(CACHE_SECONDS)
_credential_hashes: VersionedCache[str] = VersionedCache()


class TooManyFailuresError(Exception):
    """Too many wrong passwords for this account or from this address; `reason` says which."""

    def __init__(self, refusal: throttle.Refusal) -> None:
        super().__init__(refusal.reason)
        self.reason = refusal.reason
        self.retry_after_seconds = refusal.seconds


def identify(name: str, password: str, request: HttpRequest | None = None) -> Identity | None:
    """Return the active account with this name and password as an Identity; None otherwise.

    It asks every backend of AUTHENTICATION_BACKENDS. The throttle takes the address of `request`. Raises BusyError,
    TooManyFailuresError and providers.ProviderUnavailableError.
    """
    version = permissions_version.current()
    # Read before the check: a password that changes meanwhile must not be cached under its new hash.
    credential_hash, fingerprint = _fingerprint(name, password, version)
    verified = _cached(fingerprint)
    if verified is None:
        if _refused.get((version, fingerprint)) or _provider_caches().refused.get(fingerprint):
            return None
        # Before the wait too, so that guessers don't fill the queue; `_checked` asks again after it.
        _raise_if_throttled(name, request)
        is_provided = providers.knows(name)
        with place(request, name):
            # Another thread may have verified the same password meanwhile.
            verified = _cached(fingerprint) or _checked(name, password, request)
        if verified is None:
            throttle.count_failure(name, request)
            # The backend asks the throttle too, and its refusal is indistinguishable from a wrong password.
            _raise_if_throttled(name, request)
            if is_provided:
                _provider_caches().refused.put(fingerprint, True)
            else:
                _refused.put((version, fingerprint), True)
            return None
        if is_provided:
            _provider_caches().verified.put(fingerprint, verified)
            # The login itself may change it: the account is new, or its password was changed elsewhere.
            credential_hash = ""
        else:
            _verified.put(fingerprint, verified)
    return _logged_in(verified, credential_hash, permissions_version.current(), request)


def remembered(name: str, password: str, request: HasMeta, version: str) -> Identity | None:
    """Return what `identify` would for a password that is cached, at the current `version`; otherwise None.

    Nothing is checked or counted: None leaves the login to `identify`.
    """
    credential_hash, fingerprint = _fingerprint(name, password, version)
    verified = _cached(fingerprint)
    return None if verified is None else _logged_in(verified, credential_hash, version, request)


@dataclass(frozen=True, slots=True)
class _ProviderCaches:
    """Answers of providers: a password that was changed there counts as long as they last."""

    verified: TTLCache[str]
    refused: TTLCache[bool]


@cache
def _provider_caches() -> _ProviderCaches:
    seconds = min(CACHE_SECONDS, providers.cache_time().total_seconds())
    return _ProviderCaches(TTLCache(seconds), TTLCache(seconds))


def _cached(fingerprint: bytes) -> str | None:
    return _verified.get(fingerprint) or _provider_caches().verified.get(fingerprint)


def _fingerprint(name: str, password: str, version: str) -> tuple[str, bytes]:
    """Return the credential hash at `version`, and the key of the caches."""
    credential_hash = ""
    if ACCOUNT_NAME.fullmatch(name):
        credential_hash = _credential_hashes.get(version, name, lambda: credential_hash_of(name))
    message = "\0".join((name, credential_hash, password)).encode("utf-8", "surrogatepass")
    return credential_hash, hmac.digest(_secret, message, "sha256")


def _logged_in(verified: str, credential_hash: str, version: str, request: HasMeta | None) -> Identity | None:
    """Return the identity of the `verified` name, and record its network; None if it changed during the check."""
    identity = identity_of(verified, version)
    # A directory may know a password for the name of a robot.
    if identity is None or identity.is_robot or (credential_hash and identity.credential_hash != credential_hash):
        return None
    known_networks.record(identity.name, throttle.network_of(request))
    return identity


def place(request: HttpRequest | None = None, name: str = "") -> AbstractContextManager[None]:
    """Return a context with a place in the password queue of this process. Entering it waits, and raises BusyError.

    Names that providers decide about have a queue of their own: a provider that hangs delays no other login.

    Count failures outside of the context: they may wait for the database, and would block other logins.
    """
    queue = _provider_queue() if providers.knows(name) else _queue()
    return queue.place(throttle.network_of(request), QUEUE_SECONDS)


@cache
def _queue() -> PasswordQueue:
    # Logins get a quarter of the slots for slow clients, pushes and pulls the rest.
    server = settings.REGISTRY.server
    cores = max(1, len(os.sched_getaffinity(0)) // server.workers)
    return PasswordQueue(cores, max(1, server.max_slow_clients // 4))


@cache
def _provider_queue() -> PasswordQueue:
    return PasswordQueue(PROVIDER_PLACES, max(PROVIDER_PLACES, settings.REGISTRY.server.max_slow_clients // 4))


def _checked(name: str, password: str, request: HttpRequest | None) -> str | None:
    _raise_if_throttled(name, request)
    if not ACCOUNT_NAME.fullmatch(name):
        hashers.equalize_timing(password)
        return None
    account = authenticate(request, username=name, password=password)
    return account.get_username() if account is not None else None


def _raise_if_throttled(name: str, request: HttpRequest | None) -> None:
    if refusal := throttle.refusal(name, request):
        raise TooManyFailuresError(refusal)
