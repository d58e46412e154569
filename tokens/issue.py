"""Issue tokens: the requested access, reduced to what the rules allow."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii as quoted_json
from typing import NamedTuple

import jwt
from django.conf import settings

from accounts import permissions_version
from accounts.identity import Identity
from acl import actions as action_list
from acl import grants
from acl.actions import Access
from audit.kinds import Kind
from audit.recording import record_alike
from configuration.identities import TokenService
from core.api.errors import ErrorCode, RegistryError
from core.api.notes import HasMeta
from core.caches import VersionedCache
from core.metrics.catalog import TOKENS_ISSUED
from tokens import other_registries
from tokens.keys import ring
from tokens.keys.signing_key import SigningKey
from tokens.scope import format_access, repository_of

MAX_TOKEN_BYTES = 7 * 1024
ENTRY_BYTES = len('{"type":"","name":"","actions":[]}')
# 64 bits: the signature authenticates the token, this only tells two passwords apart.
CREDENTIAL_CHARACTERS = 16
# The largest request whose grant is cached: clients choose the names.
REMEMBERED_BYTES = 1024


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token and the fields of its response."""

    token: str
    issued_at: datetime
    expires_in_seconds: int
    scope: str
    """The granted scopes, separated by spaces."""

    def json(self, refresh_token: str | None = None) -> bytes:
        """Return the response (Docker token specification; the fields are those of RFC 6749, section 5.1)."""
        # By hand, since the encoder takes a tenth of the whole request; a token has no character to escape.
        refresh = f', "refresh_token": {quoted_json(refresh_token)}' if refresh_token is not None else ""
        return (
            f'{{"token": "{self.token}", "access_token": "{self.token}", "expires_in": {self.expires_in_seconds}, '
            f'"issued_at": "{self.issued_at:%Y-%m-%dT%H:%M:%SZ}", "scope": {quoted_json(self.scope)}{refresh}}}'
        ).encode()


def response_headers(payload: bytes) -> dict[str, str]:
    """Return the header fields of a response with a token."""
    return {"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": str(len(payload))}


class _Grant(NamedTuple):
    """What is granted to an identity, as members of the claims, and as scopes separated by spaces."""

    members: str
    scope: str


_grants: VersionedCache[_Grant] = VersionedCache(limit=2_000)


def issue(
    identity: Identity,
    requested: Iterable[Access],
    version: str | None = None,
    *,
    address: str = "",
    service: TokenService | None = None,
) -> IssuedToken:
    """Return a token for `identity` with the intersection of requested and allowed access.

    `version` is the permissions version if the caller has just read it, `address` the client's, for rules by network,
    `service` another registry for which the token is.
    An unknown type or name is granted no actions and is no error (Docker token specification). Raises RegistryError,
    status 400, for a token that does not fit into a header.
    """
    wanted = tuple(requested)
    # The size without any action, in base64: a request with thousands of short names is refused before the rules are
    # evaluated for each.
    size = sum(len(a.type) + len(a.name) + ENTRY_BYTES for a in wanted)
    _refuse_above(size * 4 // 3, "at least ")
    version = version or permissions_version.current()
    identity = grants.located(identity, address, version)
    if size <= REMEMBERED_BYTES:
        # Equal identities may be of two accounts, or of two passwords.
        key = identity, identity.account_pk, identity.credential_hash, wanted, service
        grant = _grants.get(grants.cache_key(version), key, lambda: _grant_of(identity, wanted, version, service))
    else:
        grant = _grant_of(identity, wanted, version, service)
    auth, issued_at = settings.REGISTRY.auth, int(time.time())
    lifetime = int(auth.expiration.total_seconds())
    if identity.limit is not None:
        lifetime = min(lifetime, max(0, identity.limit.expires_at - issued_at))
    audience = auth.service if service is None else service.name
    claims = (
        f'{{"iss":{quoted_json(auth.issuer)},"aud":{quoted_json(audience)},{grant.members},'
        f'"exp":{issued_at + lifetime},"nbf":{issued_at},"iat":{issued_at},"jti":"{secrets.token_urlsafe(16)}"}}'
    )
    token = _signed(claims, ring.current().active, service)
    _refuse_above(len(token))
    TOKENS_ISSUED.add()
    return IssuedToken(token, datetime.fromtimestamp(issued_at, UTC), lifetime, grant.scope)


def issue_recorded(
    request: HasMeta,
    identity: Identity,
    requested: Iterable[Access],
    credential: str,
    version: str | None = None,
    *,
    service: TokenService | None = None,
) -> IssuedToken:
    """Do what `issue` does, and record the scope; clients take many, and alike ones are one event."""
    issued = issue(identity, requested, version, address=request.META.get("REMOTE_ADDR", ""), service=service)
    scope = (issued.scope or "no access") + (f" for {service.name}" if service is not None else "")
    if identity.limit is not None:
        limit = identity.limit
        credential = f"workload of {limit.issuer}"[:128] if limit.issuer else f"access token {limit.name}"
    about = {"account": identity.name, "credential": credential, "alike": f"{credential} {scope}"}
    record_alike(Kind.TOKEN, request, **about, detail=lambda: scope)
    return issued


def _refuse_above(size: int, at_least: str = "") -> None:
    if size > MAX_TOKEN_BYTES:
        detail = f"the token has {at_least}{size} bytes, at most {MAX_TOKEN_BYTES} fit; ask for fewer scopes"
        raise RegistryError(ErrorCode.SCOPE_INVALID, detail, message=detail)


def _grant_of(identity: Identity, wanted: Iterable[Access], version: str, service: TokenService | None) -> _Grant:
    allowed = _allowed if service is None else partial(other_registries.allowed, service)
    granted = [Access(a.type, a.name, allowed(identity, a, version)) for a in wanted]
    claims: dict[str, object] = {"sub": identity.name}
    # What this registry alone reads is not for others.
    limit = identity.limit if service is None else None
    if service is None:
        claims["account"] = identity.account_pk
        claims["credential"] = identity.credential_hash[:CREDENTIAL_CHARACTERS]
    claims["access"] = [{"type": a.type, "name": a.name, "actions": sorted(a.actions)} for a in granted]
    if limit is not None and limit.issuer:
        group = "" if identity.has_account else min(identity.groups)
        claims["workload"] = [limit.issuer, limit.name, group]
    elif limit is not None:
        claims["access_token"] = limit.pk
    members = json.dumps(claims, separators=(",", ":"))[1:-1]
    return _Grant(members, " ".join(format_access(access) for access in granted if access.actions))


def _signed(claims: str, key: SigningKey, service: TokenService | None) -> str:
    """Return the compact serialization (RFC 7515, section 7.1), as `jwt.encode` would with twice the instructions."""
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    kid = key.libtrust_id if service is not None and service.kid == "libtrust" else key.kid
    signing_input = _header(key.algorithm, kid) + b"." + _base64url(claims.encode())
    signature = algorithm.sign(signing_input, algorithm.prepare_key(key.signing))
    return (signing_input + b"." + _base64url(signature)).decode()


@lru_cache(maxsize=16)
def _header(algorithm: str, kid: str) -> bytes:
    return _base64url(json.dumps({"alg": algorithm, "kid": kid, "typ": "JWT"}, separators=(",", ":")).encode())


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _allowed(identity: Identity, access: Access, version: str) -> frozenset[str]:
    if (access.type, access.name) == ("registry", "catalog"):
        # The catalog lists only repositories that the account may pull, so it needs no rule.
        return access.actions & {"*"}
    name = repository_of(access)
    if name is None:
        return frozenset()
    return action_list.expand(access.actions) & grants.actions_on(identity, name, version)
