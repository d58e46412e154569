"""Issue tokens: the requested access, reduced to what the rules allow."""

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
from core.metrics.catalog import TOKENS_ISSUED
from tokens.keys import ring
from tokens.scope import format_access

MAX_TOKEN_BYTES = 7 * 1024
ENTRY_BYTES = len('{"type":"","name":"","actions":[]}')
# 64 bits: the signature authenticates the token, this only tells two passwords apart.
CREDENTIAL_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and the fields of its response."""

    token: str
    issued_at: datetime
    expires_in_seconds: int
    scope: str
    """The granted scopes, separated by spaces."""


def issue(identity: Identity, requested: Iterable[Access]) -> IssuedToken:
    """Return a token for `identity` with the intersection of requested and allowed access.

    An unknown type or name is granted no actions and is no error (Docker token specification). Raises RegistryError,
    status 400, for a token that does not fit into a header.
    """
    wanted = tuple(requested)
    # The size without any action, in base64: a request with thousands of short names is refused before the rules are
    # evaluated for each.
    _refuse_above(sum(len(a.type) + len(a.name) + ENTRY_BYTES for a in wanted) * 4 // 3, "at least ")
    version = permissions_version.current()
    granted = tuple(Access(a.type, a.name, _allowed(identity, a, version)) for a in wanted)
    issued_at = int(time.time())
    lifetime = int(settings.REGISTRY.auth.expiration.total_seconds())
    key = ring.current().active
    claims = _claims(identity, granted, issued_at, lifetime)
    token = jwt.encode(claims, key.signing, algorithm=key.algorithm, headers={"kid": key.kid})
    _refuse_above(len(token))
    TOKENS_ISSUED.add()
    scope = " ".join(format_access(access) for access in granted if access.actions)
    return IssuedToken(token, datetime.fromtimestamp(issued_at, UTC), lifetime, scope)


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


def _allowed(identity: Identity, access: Access, version: str) -> frozenset[str]:
    if (access.type, access.name) == ("registry", "catalog"):
        # The catalog lists only repositories that the account may pull, so it needs no rule.
        return access.actions & {"*"}
    if access.type not in ("repository", "repository(plugin)"):
        return frozenset()
    try:
        name = parse_name(access.name)
    except InvalidNameError:
        return frozenset()
    return action_list.expand(access.actions) & grants.actions_on(identity, name, version)
