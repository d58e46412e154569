"""The second factor of the admin: TOTP (RFC 6238), and recovery codes for a lost device.

    setup:  seed ──HMAC with SECRET_KEY──> secret ──> QR code, app
    login:  password ──> session without rights ──> code ──> session with the factor's pk, which opens the admin

The database has a seed and digests only, so a copy of it yields no code. Each code is valid once. Wrong codes are
counted like wrong passwords (`throttling.throttle`), and also per account from all addresses together: an attacker with
the password may use many addresses, and a code has only six digits. The owner can then use a recovery code, or set a
new password.
"""

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
from textwrap import wrap

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
"""Codes of the previous and next step are valid: clocks differ, and typing takes time."""

RECOVERY_CODES = 10
ISSUER = "Registry"
PATIENCE_SECONDS = 1.0

_SECRET_BYTES = 20
_RECOVERY_BYTES = 10
_RECOVERY_CHARACTERS = 16
_SESSION_KEY = "second_factor"

logger = logging.getLogger(__name__)
# Codes accepted while the database could not be written, by pk and step.
_accepted: TTLCache[bool] = TTLCache((2 * SKEW_STEPS + 1) * STEP_SECONDS)
_accepting = threading.Lock()


def factor_of(account: Account | AnonymousUser) -> SecondFactor | None:
    return getattr(account, "second_factor", None)


def is_verified(request: HttpRequest) -> bool:
    """Tell whether the session of `request` may open the admin: by its second factor, or because it needs none."""
    if not is_passed(request):
        return False
    return factor_of(request.user) is not None or not settings.REGISTRY.admin.require_second_factor


def is_passed(request: HttpRequest) -> bool:
    """Tell whether the session of `request` has passed the second factor of its account, if it has one."""
    account = request.user
    # No session is a robot's, whatever backend has begun it.
    if not isinstance(account, Account) or account.is_robot:
        return False
    factor = factor_of(account)
    return factor is None or bool(request.session.get(_SESSION_KEY) == factor.pk)


def mark_verified(request: HttpRequest, factor: SecondFactor) -> None:
    """Open the admin to the session, under a new key against session fixation."""
    request.session.cycle_key()
    request.session[_SESSION_KEY] = factor.pk


def new_seed() -> str:
    return secrets.token_hex(_SECRET_BYTES)


def secret_text(seed: str) -> str:
    """Return the secret in base32, in groups of four, to be typed into an app."""
    return " ".join(wrap(base64.b32encode(_secret(seed)).decode(), 4))


def uri(seed: str, account: Account, host: str) -> str:
    """Return the `otpauth://` URI for the QR code."""
    return _totp(seed).get_provisioning_uri(f"{account.name}@{host}", ISSUER)


def set_up(account: Account, seed: str, code: str) -> tuple[SecondFactor, list[str]] | None:
    """Replace the account's second factor; return it and its recovery codes, of which only digests are stored.

    None means that `code` is wrong, so the device does not have the secret.
    """
    step = _step_of(seed, code, after=0)
    if step is None:
        return None
    with transaction.atomic():
        SecondFactor.objects.filter(account=account).delete()
        _end_sessions(account)
        factor = SecondFactor.objects.create(account=account, seed=seed, last_step=step)
        return factor, renew_recovery_codes(factor)


def remove(account: Account) -> bool:
    """Remove the account's second factor and end its sessions; tell whether it had one."""
    with transaction.atomic():
        is_removed = bool(SecondFactor.objects.filter(account=account).delete()[0])
        if is_removed:
            _end_sessions(account)
        return is_removed


def _end_sessions(account: Account) -> None:
    # The caller keeps its own session by `update_session_auth_hash`.
    account.second_factor_changed_at = timezone.now()
    account.save(update_fields=["second_factor_changed_at"])


def renew_recovery_codes(factor: SecondFactor) -> list[str]:
    """Replace all recovery codes; return the new ones, of which only digests are stored."""
    texts = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        factor.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(text)) for text in texts)
    return ["-".join(wrap(text, 4)) for text in texts]


def verify_code(factor: SecondFactor, code: str, request: HttpRequest) -> bool:
    """Tell whether `code` is a valid TOTP or recovery code, and use it up.

    Raises TooManyFailuresError, and django.db.DatabaseError for a recovery code that can't be deleted.
    """
    name = factor.account.name
    plain = "".join(code.split()).replace("-", "").lower()
    # 80 random bits need no limit of tries; an attacker could exhaust it to lock the owner out.
    if len(plain) == _RECOVERY_CHARACTERS:
        rows = RecoveryCode.objects.filter(factor=factor, digest=_digest(plain))
        # Without a limit a wrong code must not cause a write, so read first.
        if rows.exists() and rows.delete()[0] == 1:
            return True
    credential_hash = credential_hash_of(name)
    if refusal := throttle.refusal(name, request, credential_hash):
        raise TooManyFailuresError(refusal)
    step = _step_of(factor.seed, plain, after=factor.last_step)
    if step is not None and _is_first_use(factor, step):
        return True
    throttle.count_failure(name, request, credential_hash)
    return False


def _is_first_use(factor: SecondFactor, step: int) -> bool:
    """Use up the code of `step`; tell whether it was unused.

    While the database can't be written, the process remembers used codes.
    """
    with _accepting:
        if _accepted.get((factor.pk, step)):
            return False
        try:
            with short_transaction(PATIENCE_SECONDS):
                rows = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step)
                return rows.update(last_step=step) == 1
        except DatabaseError as error:
            logger.warning(
                "the use of a code is kept in memory: it can't be stored", extra={"reason": report(error).reason}
            )
            _accepted.put((factor.pk, step), True)
            return True


def _digest(code: str) -> str:
    # 80 random bits need no slow hash.
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _step_of(seed: str, code: str, *, after: int) -> int | None:
    """Return the time step of `code` among the valid steps later than `after`, None for a wrong code."""
    totp, given = _totp(seed), code.encode("utf-8", "surrogatepass")
    now = int(time.time()) // STEP_SECONDS
    steps = range(max(after + 1, now - SKEW_STEPS), now + SKEW_STEPS + 1)
    return next((step for step in steps if hmac.compare_digest(totp.generate(step * STEP_SECONDS), given)), None)


def _totp(seed: str) -> TOTP:
    # Every app supports SHA-1, six digits and 30 seconds; HMAC does not need collision resistance.
    return TOTP(_secret(seed), DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303


def _secret(seed: str) -> bytes:
    return salted_hmac("accounts.second_factor", seed, algorithm="sha256").digest()[:_SECRET_BYTES]
