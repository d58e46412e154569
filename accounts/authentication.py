"""Check a name and a password, and remember for a short time that they were right.

bcrypt at cost 10 takes 59 ms of CPU: 17 logins a second per core. What was verified is therefore remembered
in the process, under an HMAC over name, password and stored hash: a changed password misses it at once, and
a deactivated account is asked for at the current rights epoch.
"""

import hmac
import os
import secrets
import threading

from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts import epoch as rights_epoch
from accounts import hashers
from accounts.identity import Identity, identity_of
from accounts.models import ACCOUNT_NAME, Account
from accounts.remembered import ForAWhile, PerEpoch

REMEMBER_SECONDS = 300
QUEUE_SECONDS = 20

_secret = secrets.token_bytes(32)
_verified: ForAWhile[str] = ForAWhile(REMEMBER_SECONDS)
_stored: PerEpoch[str] = PerEpoch()
# More bcrypt at once than cores only makes every login slower, and every other request with them.
_bcrypt_places = threading.BoundedSemaphore(os.cpu_count() or 1)


class BusyError(Exception):
    """Too many passwords are being checked; asking again in a moment helps."""


def identify(name: str, password: str, request: HttpRequest | None = None) -> Identity | None:
    """Return who `name` with `password` is; None when they are wrong or the account is not active.

    Any backend of AUTHENTICATION_BACKENDS may answer. Raises BusyError.
    """
    if not ACCOUNT_NAME.fullmatch(name):
        hashers.burn(password)
        return None
    epoch = rights_epoch.current()
    # Taken before the check: a password changed meanwhile must not be remembered under its new hash.
    fingerprint = _fingerprint(name, password, epoch)
    verified = _verified.get(fingerprint)
    if verified is None:
        verified = _authenticate(name, password, request)
        if verified is None:
            return None
        _verified.put(fingerprint, verified)
    return identity_of(verified, rights_epoch.current())


def _authenticate(name: str, password: str, request: HttpRequest | None) -> str | None:
    if not _bcrypt_places.acquire(timeout=QUEUE_SECONDS):
        raise BusyError
    try:
        account = authenticate(request, username=name, password=password)
    finally:
        _bcrypt_places.release()
    return account.get_username() if account is not None else None


def _fingerprint(name: str, password: str, epoch: str) -> bytes:
    stored = _stored.get(epoch, name, lambda: _stored_password(name))
    message = "\0".join((name, stored, password)).encode("utf-8", "surrogatepass")
    return hmac.digest(_secret, message, "sha256")


def _stored_password(name: str) -> str:
    return Account.objects.filter(name=name).values_list("password", flat=True).first() or ""
