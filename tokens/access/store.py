"""Create, redeem, list and revoke access tokens."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts import authentication, permissions_version
from accounts.identity import AccessLimit, Identity, credential_hash_of, identity_of
from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from acl import actions as action_list
from acl.glob import InvalidPatternError, check_glob
from core.caches import VersionedCache
from core.db import clock
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from core.durations import format_duration
from tokens.access import secret
from tokens.models import AccessToken

# The resolution of `used_at`: a token causes at most one write an hour.
USED_STEP = timedelta(hours=1)
USED_PATIENCE_SECONDS = 0.2
SHORTEST = timedelta(minutes=1)
# Ended tokens are shown in the admin for so long.
KEPT_ENDED = timedelta(days=90)
MAX_PER_ACCOUNT = 200
MAX_SCOPES = 50
MAX_SCOPE_CHARACTERS = 300

logger = logging.getLogger(__name__)

_identities: VersionedCache[Identity | None] = VersionedCache(name="access_tokens")


def create(
    account: Account, name: str, scopes: Sequence[str] = (), lifetime: timedelta | None = None, by: str = ""
) -> tuple[AccessToken, str]:
    """Return the row and the token, which is nowhere else.

    Each of `scopes` is `GLOB:actions`, as `alice/*:pull,push`; without any, the token may do what its account may.
    A `lifetime` of None is `auth.access_token_lifetime`. Raises ValidationError.
    """
    if account.is_robot and account.owner_id is None:
        raise ValidationError(f"{account} is a robot without an owner: give it one first.")
    if len(scopes) > MAX_SCOPES:
        raise ValidationError(f"A token has at most {MAX_SCOPES} scopes.")
    token = secret.generate()
    row = AccessToken(
        account=account,
        name=name.strip(),
        token_hash=secret.hash_of(token),
        scopes=[canonical_scope(scope) for scope in scopes],
        expires_at=clock.now() + _checked(lifetime),
        created_by=by,
    )
    row.full_clean(exclude=["token_hash", "credential_hash", "scopes"], validate_constraints=False)
    with transaction.atomic():
        # Of parallel calls, each counts the rows of the one before.
        Account.objects.select_for_update().get(pk=account.pk)
        row.credential_hash = credential_hash_of(account.name)
        _store(row)
    return row, token


def _checked(lifetime: timedelta | None) -> timedelta:
    auth = settings.REGISTRY.auth
    longest = auth.access_token_max_lifetime
    if lifetime is None:
        return min(auth.access_token_lifetime, longest or timedelta.max)
    if longest is not None and lifetime > longest:
        allowed = format_duration(longest)
        raise ValidationError(f"A token is valid for at most {allowed} (auth.access_token_max_lifetime).")
    if lifetime < SHORTEST:
        raise ValidationError("A token is valid for at least a minute.")
    return lifetime


def _store(row: AccessToken) -> None:
    rows = AccessToken.objects.filter(account=row.account_id)
    good = rows.filter(valid(), credential_hash=row.credential_hash)
    if good.filter(name=row.name).exists():
        raise ValidationError(f"{row.account} has a valid token named {row.name!r}: revoke it first.")
    if good.count() >= MAX_PER_ACCOUNT:
        raise ValidationError(f"An account has at most {MAX_PER_ACCOUNT} valid access tokens: revoke one first.")
    # A name may be used again once its token has ended; others that ended are kept for a while to be looked at.
    ended = rows.exclude(pk__in=good.values("pk"))
    forgotten = ended.filter(Q(name=row.name) | Q(created_at__lt=Now() - KEPT_ENDED, expires_at__lt=Now() - KEPT_ENDED))
    if pks := list(forgotten.values_list("pk", flat=True)):
        AccessToken.objects.filter(pk__in=pks).delete()
    row.save(force_insert=True)


def canonical_scope(text: str) -> str:
    """Return `GLOB:actions` with its actions in order. Raises ValidationError."""
    pattern, _, listed = text.strip().rpartition(":")
    actions = action_list.canonical(part.strip() for part in listed.split(","))
    if not pattern or actions is None or len(text) > MAX_SCOPE_CHARACTERS:
        actions = ", ".join(action_list.ALL)
        raise ValidationError(
            f"{text!r} is not valid. Write a repository or pattern, a colon and actions, as team/app:pull,push. "
            f"Actions: {actions}."
        )
    if ":" in pattern or "${" in pattern:
        # Docker's own scopes name the type first.
        raise ValidationError(f"{text!r} matches no repository: write alice/*:pull, without a type or ${{account}}.")
    try:
        check_glob(pattern)
    except InvalidPatternError as error:
        raise ValidationError(f"The scope {text!r}: {error}") from error
    return f"{pattern}:{actions}"


def valid() -> Q:
    """Return the condition that a token is neither revoked nor expired."""
    return Q(revoked_at__isnull=True, expires_at__gt=Now())


def of_account(account: str) -> QuerySet[AccessToken]:
    """Return the valid tokens of an account, the newest first."""
    rows = AccessToken.objects.filter(valid(), account__name=account, credential_hash=credential_hash_of(account))
    return rows.order_by("-pk")


def identify(name: str, password: str, request: HttpRequest | None = None) -> Identity | None:
    """Return the account with this name and password or access token; None otherwise.

    A token costs one hash and two statements: no queue and no bcrypt. Raises what `authentication.identify` raises.
    """
    if not secret.has_checksum(password):
        return authentication.identify(name, password, request)
    # PostgreSQL refuses a query with a NUL.
    if not ACCOUNT_NAME.fullmatch(name):
        return None
    return _redeemed(AccessToken.objects.filter(token_hash=secret.hash_of(password), account__name=name), request)


def identify_bearer(token: str, request: HttpRequest | None = None) -> Identity | None:
    """Return the account that the row of this access token names; None for anything else."""
    if not secret.has_checksum(token):
        return None
    return _redeemed(AccessToken.objects.filter(token_hash=secret.hash_of(token)), request)


def _redeemed(rows: QuerySet[AccessToken], request: HttpRequest | None) -> Identity | None:
    row = rows.filter(valid()).first()
    identity = identity_by(row.pk, permissions_version.current()) if row is not None else None
    if row is not None and identity is not None:
        _store_use(row, request)
    return identity


def identity_by(pk: int, version: str) -> Identity | None:
    """Return the identity of a token at `version`: its account, with the limits of the token.

    None for a token that is revoked or expired, or whose account is not active or has another password now.
    """
    identity = _identities.get(version, pk, lambda: _read(pk, version))
    is_over = identity is not None and identity.limit is not None and identity.limit.expires_at <= time.time()
    return None if is_over else identity


def _read(pk: int, version: str) -> Identity | None:
    row = AccessToken.objects.filter(valid(), pk=pk).select_related("account").first()
    identity = identity_of(row.account.name, version) if row is not None else None
    if row is None or identity is None or row.credential_hash != identity.credential_hash:
        return None
    scopes = tuple((pattern, frozenset(actions.split(","))) for pattern, _, actions in _split(row.scopes))
    return identity.limited(AccessLimit(row.pk, row.name, scopes, int(row.expires_at.timestamp())))


def _split(scopes: Sequence[str]) -> list[tuple[str, str, str]]:
    return [scope.rpartition(":") for scope in scopes]


def _store_use(row: AccessToken, request: HttpRequest | None) -> None:
    now: datetime = clock.now()
    if row.used_at is not None and row.used_at > now - USED_STEP:
        return
    address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    try:
        with short_transaction(USED_PATIENCE_SECONDS):
            AccessToken.objects.filter(pk=row.pk).update(used_at=now, used_from=address[:64])
    except DatabaseError as error:
        logger.warning("the use of an access token can't be stored", extra={"reason": report(error).reason})


def revoke(rows: QuerySet[AccessToken]) -> int:
    """Revoke these tokens and return how many were valid; what was issued for them ends at once."""
    return rows.filter(revoked_at__isnull=True).update(revoked_at=Now())
