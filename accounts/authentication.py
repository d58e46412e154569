"""Check a name and a password, and remember for a short time that they were right.

bcrypt at cost 10 takes 59 ms of CPU: 17 logins a second per core. What was verified is therefore remembered
in the process, under an HMAC over name, password and stored hash: a changed password misses it at once, and
a deactivated account is asked for at the current rights epoch. What was refused is remembered too, until any
right changes: a machine that goes on with an old password is one guess, and not a reason to slow others down.
"""

import hmac
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts import epoch as rights_epoch
from accounts import hashers, throttle
from accounts.identity import Identity, identity_of
from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from accounts.remembered import ForAWhile, PerEpoch
from accounts.waiting import waiting

REMEMBER_SECONDS = 300
QUEUE_SECONDS = 10

_secret = secrets.token_bytes(32)
_verified: ForAWhile[str] = ForAWhile(REMEMBER_SECONDS)
_refused: ForAWhile[bool] = ForAWhile(REMEMBER_SECONDS)
_stored: PerEpoch[str] = PerEpoch()
# More bcrypt at once than cores only makes every login slower, and every other request with them.
_bcrypt_places = threading.BoundedSemaphore(os.cpu_count() or 1)


class BusyError(Exception):
    """Too many passwords are being checked; asking again in a moment helps."""


class TooManyFailuresError(Exception):
    """Too many wrong passwords came for this account from this address."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


def identify(name: str, password: str, request: HttpRequest | None = None) -> Identity | None:
    """Return who `name` with `password` is; None when they are wrong or the account is not active.

    Any backend of AUTHENTICATION_BACKENDS may answer. `request` tells where from, for `accounts.throttle`.
    Raises BusyError and TooManyFailuresError.
    """
    epoch = rights_epoch.current()
    # Taken before the check: a password changed meanwhile must not be remembered under its new hash.
    fingerprint = _fingerprint(name, password, epoch)
    verified = _verified.get(fingerprint)
    if verified is None:
        if _refused.get((epoch, fingerprint)):
            return None
        with place():
            # Another thread may have checked the same while this one waited.
            verified = _verified.get(fingerprint) or _checked(name, password, request)
        if verified is None:
            _count_failure(name, request)
            _refused.put((epoch, fingerprint), True)
            return None
        _verified.put(fingerprint, verified)
    return identity_of(verified, rights_epoch.current())


@contextmanager
def place() -> Iterator[None]:
    """Wait until a password may be checked, whichever way it came; BusyError at once when too many wait already.

    A failure is counted after it: the count may wait for the database, and holds up no other login there.
    """
    logins = _login_places()
    if not logins.acquire(blocking=False):
        raise BusyError
    try:
        with waiting():
            if not _bcrypt_places.acquire(timeout=QUEUE_SECONDS):
                raise BusyError
            try:
                yield
            finally:
                _bcrypt_places.release()
    finally:
        logins.release()


@cache
def _login_places() -> threading.BoundedSemaphore:
    """Let guessers fill a quarter of the places of those that wait, and leave the others to pushes and pulls."""
    return threading.BoundedSemaphore(max(1, settings.REGISTRY.server.transfers // 4))


def _checked(name: str, password: str, request: HttpRequest | None) -> str | None:
    """Return the name of the account that `name` and `password` are right for."""
    if not ACCOUNT_NAME.fullmatch(name):
        hashers.burn(password)
        return None
    _raise_if_throttled(name, request)
    account = authenticate(request, username=name, password=password)
    return account.get_username() if account is not None else None


def _count_failure(name: str, request: HttpRequest | None) -> None:
    if ACCOUNT_NAME.fullmatch(name):
        throttle.count_failure(name, request)
        # The backend asks the throttle too, and its refusal looks like a wrong password, which this one may not be.
        _raise_if_throttled(name, request)


def _raise_if_throttled(name: str, request: HttpRequest | None) -> None:
    seconds = throttle.wait_seconds(name, request)
    if seconds:
        raise TooManyFailuresError(seconds)


def _fingerprint(name: str, password: str, epoch: str) -> bytes:
    stored = _stored.get(epoch, name, lambda: _stored_password(name))
    message = "\0".join((name, stored, password)).encode("utf-8", "surrogatepass")
    return hmac.digest(_secret, message, "sha256")


def _stored_password(name: str) -> str:
    if not ACCOUNT_NAME.fullmatch(name):
        return ""
    return Account.objects.filter(name=name).values_list("password", flat=True).first() or ""
