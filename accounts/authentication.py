"""Check a name and a password, and remember for a short time that they were right.

bcrypt at cost 10 takes 59 ms of CPU: 17 logins a second per core. What was verified is therefore remembered
in the process, under an HMAC over name, password and stored hash: a changed password misses it at once, and
a deactivated account is asked for at the current permissions version. What was refused is remembered too, until any
right changes: a machine that goes on with an old password is one guess, and not a reason to slow others down.
"""

import hmac
import os
import secrets
from contextlib import AbstractContextManager
from functools import cache

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts import hashers, permissions_version
from accounts.identity import Identity, credential_hash_of, identity_of
from accounts.names import ACCOUNT_NAME
from accounts.throttling import known_networks, throttle
from accounts.throttling.password_queue import BusyError, PasswordQueue
from core.caches import TTLCache, VersionedCache

__all__ = ["BusyError", "TooManyFailuresError", "identify", "place"]

CACHE_SECONDS = 300
QUEUE_SECONDS = 10

_secret = secrets.token_bytes(32)
_verified: TTLCache[str] = TTLCache(CACHE_SECONDS)
_refused: TTLCache[bool] = TTLCache(CACHE_SECONDS)
_credential_hashes: VersionedCache[str] = VersionedCache()


class TooManyFailuresError(Exception):
    """Too many wrong passwords came for this account, or any, from this address: `reason` tells which."""

    def __init__(self, refusal: throttle.Refusal) -> None:
        super().__init__(refusal.reason)
        self.reason = refusal.reason
        self.retry_after_seconds = refusal.seconds


def identify(name: str, password: str, request: HttpRequest | None = None) -> Identity | None:
    """Return who `name` with `password` is; None when they are wrong or the account is not active.

    Any backend of AUTHENTICATION_BACKENDS may answer. `request` tells where from, for `accounts.throttling.throttle`.
    Raises BusyError and TooManyFailuresError.
    """
    version = permissions_version.current()
    # Taken before the check: a password changed meanwhile must not be remembered under its new hash.
    credential_hash = _credential_hash(name, version)
    fingerprint = _fingerprint(name, password, credential_hash)
    verified = _verified.get(fingerprint)
    if verified is None:
        if _refused.get((version, fingerprint)):
            return None
        # Before it waits, so that guessers don't fill the queue; again after it, since others failed meanwhile.
        _raise_if_throttled(name, request)
        with place(request):
            # Another thread may have checked the same while this one waited.
            verified = _verified.get(fingerprint) or _checked(name, password, request)
        if verified is None:
            _count_failure(name, request)
            _refused.put((version, fingerprint), True)
            return None
        _verified.put(fingerprint, verified)
    identity = identity_of(verified, permissions_version.current())
    if identity is not None and credential_hash and identity.credential_hash != credential_hash:
        # Changed while it was checked: what was right then opens nothing now.
        return None
    if identity is not None:
        known_networks.record(identity.name, throttle.network_of(request))
    return identity


def place(request: HttpRequest | None = None) -> AbstractContextManager[None]:
    """Wait until a password may be checked, whichever way it came. Entering it raises BusyError.

    A failure is counted after it: the count may wait for the database, and holds up no other login there.
    """
    return _queue().place(throttle.network_of(request), QUEUE_SECONDS)


@cache
def _queue() -> PasswordQueue:
    """Return the queue of this process.

    Logins fill a quarter of the places of those that wait, and leave the others to pushes and pulls.
    """
    server = settings.REGISTRY.server
    cores = max(1, len(os.sched_getaffinity(0)) // server.workers)
    return PasswordQueue(cores, max(1, server.transfers // 4))


def _checked(name: str, password: str, request: HttpRequest | None) -> str | None:
    """Return the name of the account that `name` and `password` are right for."""
    _raise_if_throttled(name, request)
    if not ACCOUNT_NAME.fullmatch(name):
        hashers.equalize_timing(password)
        return None
    account = authenticate(request, username=name, password=password)
    return account.get_username() if account is not None else None


def _count_failure(name: str, request: HttpRequest | None) -> None:
    throttle.count_failure(name, request)
    # The backend asks the throttle too, and its refusal looks like a wrong password, which this one may not be.
    _raise_if_throttled(name, request)


def _raise_if_throttled(name: str, request: HttpRequest | None) -> None:
    if refusal := throttle.refusal(name, request):
        raise TooManyFailuresError(refusal)


def _credential_hash(name: str, version: str) -> str:
    """Return the account's credential; what is no account's name is asked for nowhere and remembered nowhere."""
    return (
        _credential_hashes.get(version, name, lambda: credential_hash_of(name)) if ACCOUNT_NAME.fullmatch(name) else ""
    )


def _fingerprint(name: str, password: str, credential_hash: str) -> bytes:
    message = "\0".join((name, credential_hash, password)).encode("utf-8", "surrogatepass")
    return hmac.digest(_secret, message, "sha256")
