"""The second factor of the admin: codes by time (TOTP, RFC 6238) of an app, and recovery codes for who lost it.

    set up:  seed ──HMAC with SECRET_KEY──> secret ──> QR code, app
    log in:  password ──> session that opens nothing ──> code ──> the session names the setting up, and opens the admin

The database has a seed and digests: whoever reads a copy of it can make no code. A code of the app counts once.
Wrong codes are failures like wrong passwords (`throttling.throttle`), and are counted for the account as a whole too:
who has the password may ask from many addresses, and a code has six digits only. A recovery code and a new password
are the owner's way out meanwhile.
"""

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.authentication import TooManyFailuresError
from accounts.identity import credential_hash_of
from accounts.models import Account, RecoveryCode, SecondFactor
from accounts.throttling import throttle
from core.caches import TTLCache
from core.db.database_fault import report
from core.db.short_transaction import short_transaction

DIGITS = 6
STEP_SECONDS = 30
SKEW_STEPS = 1
"""A code of the 30 seconds before and after counts: the clock of the device may be off, and typing takes time."""

RECOVERY_CODES = 10
ISSUER = "Registry"
PATIENCE_SECONDS = 1.0

_SECRET_BYTES = 20
_RECOVERY_BYTES = 10
_RECOVERY_CHARACTERS = 16
_SESSION_KEY = "second_factor"

logger = logging.getLogger(__name__)
# Codes that were accepted while the database could not be written, by key of the row and step.
_accepted: TTLCache[bool] = TTLCache((2 * SKEW_STEPS + 1) * STEP_SECONDS)
_accepting = threading.Lock()


def factor_of(account: Account | AnonymousUser) -> SecondFactor | None:
    """Return the account's second factor, None without one."""
    return getattr(account, "second_factor", None)


def is_passed(request: HttpRequest) -> bool:
    """Tell whether the session of `request` has shown all that its account needs for the admin."""
    account = request.user
    if not isinstance(account, Account):
        return False
    factor = factor_of(account)
    if factor is None:
        return not settings.REGISTRY.admin.require_second_factor
    return bool(request.session.get(_SESSION_KEY) == factor.pk)


def pass_session(request: HttpRequest, factor: SecondFactor) -> None:
    """Let the session open the admin, under another key: one that somebody planted stays behind."""
    request.session.cycle_key()
    request.session[_SESSION_KEY] = factor.pk


def new_seed() -> str:
    """Return what a new secret is derived from."""
    return secrets.token_hex(_SECRET_BYTES)


def secret_text(seed: str) -> str:
    """Return the secret as a person types it into an app: base32 in groups of four."""
    text = base64.b32encode(_secret(seed)).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def uri(seed: str, account: Account, host: str) -> str:
    """Return the `otpauth://` URI that an app reads from a QR code."""
    return _totp(seed).get_provisioning_uri(f"{account.name}@{host}", ISSUER)


def set_up(account: Account, seed: str, code: str) -> tuple[SecondFactor, list[str]] | None:
    """Make the secret of `seed` the account's second factor; return it and its recovery codes, which are kept nowhere.

    None when `code` is not one of the secret: the device does not have it.
    """
    step = _step_of(seed, code, after=0)
    if step is None:
        return None
    with transaction.atomic():
        SecondFactor.objects.filter(account=account).delete()
        _end_sessions(account)
        factor = SecondFactor.objects.create(account=account, seed=seed, last_step=step)
        return factor, _store_recovery_codes(factor)


def remove(account: Account) -> bool:
    """Remove the account's second factor, which ends its sessions of the admin; tell whether it had one."""
    with transaction.atomic():
        is_removed = bool(SecondFactor.objects.filter(account=account).delete()[0])
        if is_removed:
            _end_sessions(account)
        return is_removed


def _end_sessions(account: Account) -> None:
    """End the account's sessions; `update_session_auth_hash` lets the one go on that did it."""
    account.second_factor_changed_at = timezone.now()
    account.save(update_fields=["second_factor_changed_at"])


def renew_recovery_codes(factor: SecondFactor) -> list[str]:
    """Return new recovery codes, in place of all that there were."""
    with transaction.atomic():
        factor.recovery_codes.all().delete()
        return _store_recovery_codes(factor)


def is_right(factor: SecondFactor, code: str, request: HttpRequest) -> bool:
    """Tell whether `code` is one of the app or a recovery code; it then counts no more.

    Raises TooManyFailuresError, and django.db.DatabaseError for a recovery code that can't be used up.
    """
    name = factor.account.name
    plain = "".join(code.split()).replace("-", "").lower()
    # Nobody guesses 80 bits, so no limit applies that others could spend.
    if len(plain) == _RECOVERY_CHARACTERS and _is_recovery_code(factor, plain):
        return True
    credential_hash = credential_hash_of(name)
    if refusal := throttle.refusal(name, request, credential_hash):
        raise TooManyFailuresError(refusal)
    if _is_code_of_app(factor, plain):
        return True
    throttle.count_failure(name, request, credential_hash)
    return False


def _is_code_of_app(factor: SecondFactor, code: str) -> bool:
    step = _step_of(factor.seed, code, after=factor.last_step)
    return step is not None and _is_first_use(factor, step)


def _is_first_use(factor: SecondFactor, step: int) -> bool:
    """Use the code of `step` up, for this process alone while the database can't be written: a login goes on then."""
    with _accepting:
        if _accepted.get((factor.pk, step)):
            return False
        try:
            with short_transaction(PATIENCE_SECONDS):
                rows = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step)
                return rows.update(last_step=step) == 1
        except DatabaseError as error:
            logger.warning("a code counts as used in memory only", extra={"reason": report(error).reason})
            _accepted.put((factor.pk, step), True)
            return True


def _is_recovery_code(factor: SecondFactor, code: str) -> bool:
    rows = RecoveryCode.objects.filter(factor=factor, digest=_digest(code))
    # No limit applies here, so wrong ones must not write.
    return rows.exists() and rows.delete()[0] == 1


def _store_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    rows = (RecoveryCode(factor=factor, digest=_digest(code.replace("-", ""))) for code in codes)
    RecoveryCode.objects.bulk_create(rows)
    return codes


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _digest(code: str) -> str:
    # 80 random bits need no slow hash.
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _step_of(seed: str, code: str, *, after: int) -> int | None:
    """Return the 30 seconds that `code` belongs to, of those that count now and come after `after`."""
    totp, given = _totp(seed), code.encode("utf-8", "surrogatepass")
    now = int(time.time()) // STEP_SECONDS
    steps = range(max(after + 1, now - SKEW_STEPS), now + SKEW_STEPS + 1)
    return next((step for step in steps if hmac.compare_digest(totp.generate(step * STEP_SECONDS), given)), None)


def _totp(seed: str) -> TOTP:
    # SHA-1, six digits and 30 seconds are what every app can do; HMAC needs no hash without collisions.
    return TOTP(_secret(seed), DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303


def _secret(seed: str) -> bytes:
    return salted_hmac("accounts.second_factor", seed, algorithm="sha256").digest()[:_SECRET_BYTES]
