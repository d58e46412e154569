"""Issue, redeem and revoke refresh tokens.

Source: Docker token authentication specification, "OAuth2"; RFC 6749, section 6. A token is 256 random bits, so it
needs no slow hash.
"""

import hashlib
import logging
import secrets
from datetime import timedelta

from django.db import DatabaseError
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from accounts import permissions_version
from accounts.identity import Identity, credential_hash_of, identity_of
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from tokens.models import RefreshToken

PREFIX = "rrt_"
IDLE = timedelta(days=90)
# The resolution of `used_at`, so that a token causes at most one write an hour.
USED_STEP = timedelta(hours=1)
# Machines log in for every job and never revoke: beyond this number the least recently used tokens are deleted.
MAX_PER_ACCOUNT = 1000
# The longest wait for the database's lock, to store a new token and to update `used_at`.
ISSUE_PATIENCE_SECONDS = 5.0
USED_PATIENCE_SECONDS = 0.2

_IS_USE_OLD = ExpressionWrapper(Q(used_at__lt=Now() - USED_STEP), output_field=BooleanField())

logger = logging.getLogger(__name__)


def issue(identity: Identity, credential_hash: str, client_id: str, address: str) -> str | None:
    """Return a new refresh token for the account, None when the database can't be written.

    `credential_hash` is read before the password is checked. Expired tokens of the account are deleted.
    """
    row = RefreshToken(
        account=identity.name,
        credential_hash=credential_hash,
        client_id="".join(filter(str.isprintable, client_id))[:128],  # PostgreSQL takes no NUL
        address=address[:64],
        used_at=Now(),
    )
    token = PREFIX + secrets.token_urlsafe(32)
    row.token_hash = _hash(token)
    try:
        with short_transaction(ISSUE_PATIENCE_SECONDS):
            rows = RefreshToken.objects.filter(account=identity.name)
            rows.filter(used_at__lt=Now() - IDLE).delete()
            surplus = rows.order_by("-used_at", "-pk").values_list("pk", flat=True)[MAX_PER_ACCOUNT - 1 :]
            RefreshToken.objects.filter(pk__in=list(surplus)).delete()
            row.save(force_insert=True)
    except DatabaseError as error:
        logger.warning("login without a refresh token: it can't be stored", extra={"reason": report(error).reason})
        return None
    return token


def redeem(token: str) -> Identity | None:
    """Return the identity of `token`; None if it is unknown, revoked, unused for IDLE, or its account changed."""
    row = _good().filter(token_hash=_hash(token)).annotate(is_use_old=_IS_USE_OLD).first()
    if row is None or not secrets.compare_digest(row.credential_hash, credential_hash_of(row.account)):
        return None
    if row.is_use_old:
        try:
            with short_transaction(USED_PATIENCE_SECONDS):
                RefreshToken.objects.filter(pk=row.pk).update(used_at=Now())
        except DatabaseError as error:
            logger.warning("the use of a refresh token can't be stored", extra={"reason": report(error).reason})
    return identity_of(row.account, permissions_version.current())


def valid_of(account: str) -> QuerySet[RefreshToken]:
    """Return the refresh tokens of the account that clients can still redeem, the last used first."""
    good = _good().filter(account=account, credential_hash=credential_hash_of(account))
    return good.order_by("-used_at", "-pk")


def _good() -> QuerySet[RefreshToken]:
    return RefreshToken.objects.filter(revoked_at__isnull=True, used_at__gte=Now() - IDLE)


def revoke(pks: list[int]) -> int:
    """Revoke these refresh tokens and return how many were valid; access tokens expire by themselves."""
    return RefreshToken.objects.filter(pk__in=pks, revoked_at__isnull=True).update(revoked_at=Now())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
