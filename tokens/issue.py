"""Sign tokens: what was asked for, cut down to what the rules allow now."""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import jwt
from django.conf import settings

from accounts import permissions_version
from accounts.identity import Identity
from acl import actions as action_list
from acl import grants
from acl.actions import Access
from acl.names import InvalidNameError, parse_name
from core.api.errors import ErrorCode, RegistryError
from tokens.keys import ring
from tokens.scope import format_access

MAX_TOKEN_BYTES = 7 * 1024
ENTRY_BYTES = len('{"type":"","name":"","actions":[]}')
# 64 bits: who signs the token is proved by its signature, and this merely tells two passwords apart.
CREDENTIAL_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and what its response says about it."""

    token: str
    issued_at: datetime
    expires_in_seconds: int
    granted: tuple[Access, ...]

    @property
    def scope(self) -> str:
        """The granted scopes, separated by spaces."""
        return " ".join(format_access(access) for access in self.granted if access.actions)


def issue(identity: Identity, requested: Iterable[Access]) -> IssuedToken:
    """Return a token for `identity` with requested ∩ allowed.

    A type or name that nothing here knows is granted no actions; that is not an error (Docker token
    specification). Raises RegistryError, status 400, when the token would not fit into a header.
    """
    wanted = tuple(requested)
    # Each of them takes as many bytes without any action, and base64 makes four of three. Thousands of short names fit
    # into a request: too many are refused before the rules are asked about each.
    _refuse_above(sum(len(a.type) + len(a.name) + ENTRY_BYTES for a in wanted) * 4 // 3, "at least ")
    version = permissions_version.current()
    granted = tuple(_grant(identity, access, version) for access in wanted)
    issued_at = int(time.time())
    lifetime = int(settings.REGISTRY.auth.expiration.total_seconds())
    key = ring.active_key()
    claims = _claims(identity, granted, issued_at, lifetime)
    token = jwt.encode(claims, key.signing, algorithm=key.algorithm, headers={"kid": key.kid})
    _refuse_above(len(token))
    return IssuedToken(token, datetime.fromtimestamp(issued_at, UTC), lifetime, granted)


def _refuse_above(size: int, at_least: str = "") -> None:
    if size > MAX_TOKEN_BYTES:
        detail = f"the token has {at_least}{size} bytes, at most {MAX_TOKEN_BYTES} fit; ask for fewer scopes"
        raise RegistryError(ErrorCode.SCOPE_INVALID, detail, message=detail)


def _claims(identity: Identity, granted: Iterable[Access], issued_at: int, lifetime: int) -> dict[str, object]:
    auth = settings.REGISTRY.auth
    return {
        "iss": auth.issuer,
        "sub": identity.name,
        "account": identity.account_pk,
        "credential": identity.credential_hash[:CREDENTIAL_CHARACTERS],
        "aud": auth.service,
        "exp": issued_at + lifetime,
        "nbf": issued_at,
        "iat": issued_at,
        "jti": secrets.token_urlsafe(16),
        "access": [{"type": a.type, "name": a.name, "actions": sorted(a.actions)} for a in granted],
    }


def _grant(identity: Identity, access: Access, version: str) -> Access:
    return Access(access.type, access.name, _allowed(identity, access, version))


def _allowed(identity: Identity, access: Access, version: str) -> frozenset[str]:
    if (access.type, access.name) == ("registry", "catalog"):
        # A catalog lists only what the account may pull, so that asking for it needs no rule.
        return access.actions & {"*"}
    if access.type not in ("repository", "repository(plugin)"):
        return frozenset()
    try:
        name = parse_name(access.name)
    except InvalidNameError:
        return frozenset()
    return action_list.expand(access.actions) & grants.actions_on(identity, name, version)
