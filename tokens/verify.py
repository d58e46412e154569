"""Verify tokens, and check their actions against the current rules."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jwt
from django.conf import settings

from accounts.identity import Identity, identity_of
from acl import actions as action_list
from acl import grants
from acl.rules import IdentityRules
from core.caches import TTLCache
from core.hourly import Hourly
from tokens.access import store as access
from tokens.issue import CREDENTIAL_CHARACTERS, MAX_TOKEN_BYTES
from tokens.keys import ring
from tokens.scope import REPOSITORY_TYPES
from tokens.workload import identities as workload

LEEWAY_SECONDS = 60
CACHE_SECONDS = 300

_REQUIRED = {"iss": str, "sub": str, "aud": str, "exp": int, "nbf": int, "iat": int, "jti": str}
_WARNS_CLOCK = Hourly()

logger = logging.getLogger(__name__)

# Clients fill this cache, so it is limited by bytes: those of a token, and of its claims and names. Its keys are the
# tokens themselves: a digest took half of a verification, and whoever reads this memory has the signing key anyway.
_CLAIM_BYTES = 200
_bearers: TTLCache["_Verified"] = TTLCache(CACHE_SECONDS, limit=8 * 1024 * 1024, name="tokens")


class InvalidTokenError(Exception):
    """The token is not valid; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token; `actions` by repository name.

    `account_pk` and `credential` are None in tokens of earlier versions, which had no such claim.
    """

    kid: str
    subject: str
    account_pk: int | None
    credential: str | None
    expires_at: int
    actions: Mapping[str, frozenset[str]]
    token_id: str
    access_token: int | None = None
    """The primary key of the access token that it was issued for."""

    workload: tuple[str, str, str] | None = None
    """Issuer, subject and group, if it was issued for a token of a trusted issuer; "" for an account's."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A verified token and its identity at one permissions version."""

    identity: Identity
    claims: Claims
    version: str
    has_networks: bool = False
    """Whether a rule has networks, so that the address of the client counts."""

    def may(self, name: str, actions: frozenset[str]) -> bool:
        """Tell whether token and rules both allow all of `actions` on the repository `name`."""
        return actions <= self.claims.actions.get(name, frozenset()) and actions <= grants.actions_on(
            self.identity, name, self.version
        )

    def at(self, address: str) -> "Bearer":
        """Return the bearer with the rules that count for a client at `address`."""
        identity = grants.located(self.identity, address, self.version)
        return self if identity is self.identity else replace(self, identity=identity)

    @property
    def rules(self) -> IdentityRules:
        """The rules of the account, whatever the token's scope."""
        return grants.rules_of(self.identity, self.version)


class ExpiredTokenError(InvalidTokenError):
    """The token is valid but for its expiry; `bearer` is its bearer."""

    def __init__(self, bearer: Bearer) -> None:
        super().__init__("the token has expired")
        self.bearer = bearer


def verify(token: str, version: str) -> Bearer:
    """Return the bearer of `token`. Raises InvalidTokenError, or ExpiredTokenError if all but its expiry is valid."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("the token is too long")
    keys, found = ring.current(), _bearers.get(token)
    if found is None or found.keys is not keys or found.bearer.version != version:
        claims = found.bearer.claims if found is not None and found.is_signed_by(keys) else _decode(token)
        found = _Verified(_bearer_of(claims, keys, version), keys)
        _bearers.put(token, found, weight=len(token) + _CLAIM_BYTES * (2 + len(claims.actions)))
    now, limit = time.time(), found.bearer.identity.limit
    if limit is not None and limit.expires_at + LEEWAY_SECONDS <= now:
        # An upload may outlive its bearer token, and not the access token.
        raise InvalidTokenError("the access token that it was issued for has expired")
    if found.bearer.claims.expires_at + LEEWAY_SECONDS <= now:
        raise ExpiredTokenError(found.bearer)
    return found.bearer


class _Verified(NamedTuple):
    """The bearer of a token, as long as keys and permissions version are these."""

    bearer: Bearer
    keys: ring.KeyRing

    def is_signed_by(self, keys: ring.KeyRing) -> bool:
        """Return whether the key of the token is the same in another ring."""
        one, other = self.keys.by_kid.get(self.bearer.claims.kid), keys.by_kid.get(self.bearer.claims.kid)
        # The secret of HMAC has no JWK, and no thumbprint as its kid.
        return one is not None and other is not None and (one.jwk or one.verifying) == (other.jwk or other.verifying)


def _bearer_of(claims: Claims, keys: ring.KeyRing, version: str) -> Bearer:
    if claims.kid not in keys.by_kid:
        raise InvalidTokenError("the key that signed the token is no longer known")
    if claims.access_token is not None:
        identity = access.identity_by(claims.access_token, version)
        if identity is None or identity.name != claims.subject:
            raise InvalidTokenError("the access token that it was issued for is revoked or has expired")
    elif claims.workload is not None:
        identity = workload.identity_again(claims.subject, claims.workload, claims.expires_at, version)
        if identity is None:
            raise InvalidTokenError("its issuer, or the mapping of its workload, is no longer in the configuration")
    else:
        identity = identity_of(claims.subject, version)
    if identity is None:
        raise InvalidTokenError("the account does not exist or is not active")
    if claims.account_pk is not None and claims.account_pk != identity.account_pk:
        raise InvalidTokenError("the account is another one of the same name")
    if claims.credential is not None and claims.credential != identity.credential_hash[:CREDENTIAL_CHARACTERS]:
        raise InvalidTokenError("the password was changed after the token was issued")
    return Bearer(identity, claims, version, grants.has_networks(version))


def _decode(token: str) -> Claims:
    try:
        return _verified(token)
    except InvalidTokenError:
        raise
    except jwt.ImmatureSignatureError as error:
        # The signature is valid, so another replica signed it.
        if _WARNS_CLOCK.is_due():
            logger.warning(
                "a token was issued in the future: the clock of another replica is ahead by more than %d s. "
                "Synchronize the clocks of all replicas",
                LEEWAY_SECONDS,
            )
        raise InvalidTokenError("the token is not valid yet: the clocks of the replicas differ") from error
    except Exception as error:
        # Any exception of a parser means a bad token, never a server error.
        raise InvalidTokenError(f"the token is not valid: {type(error).__name__}") from error


def _verified(token: str) -> Claims:
    kid = jwt.get_unverified_header(token).get("kid")
    key = ring.current().by_kid.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise InvalidTokenError("the token names a key that is not known here")
    auth = settings.REGISTRY.auth
    claims = jwt.decode(
        token,
        key.verifying,
        algorithms=[key.algorithm],
        audience=auth.service,
        issuer=auth.issuer,
        leeway=LEEWAY_SECONDS,
        # Checked at each use: claims are cached, and an upload may outlive its token.
        options={"require": list(_REQUIRED), "verify_exp": False},
    )
    return _checked(key.kid, claims)


def _checked(kid: str, claims: dict[str, Any]) -> Claims:
    # PyJWT accepts a string `exp` and a list `aud`.
    for name, kind in _REQUIRED.items():
        if type(claims[name]) is not kind:
            raise InvalidTokenError(f"the claim {name} is not of type {kind.__name__}")
    if claims["exp"] < 0:
        # Negative times break comparisons with dates.
        raise InvalidTokenError("the claim exp is before 1970")
    account_pk = claims.get("account")
    if account_pk is not None and type(account_pk) is not int:
        raise InvalidTokenError("the claim account is not of type int")
    credential = claims.get("credential")
    if credential is not None and type(credential) is not str:
        raise InvalidTokenError("the claim credential is not of type str")
    access_token = claims.get("access_token")
    if access_token is not None and type(access_token) is not int:
        raise InvalidTokenError("the claim access_token is not of type int")
    found = claims.get("workload")
    if found is not None and not (isinstance(found, list) and [type(part) for part in found] == [str, str, str]):
        raise InvalidTokenError("the claim workload is not a list of three strings")
    actions = _actions(claims.get("access", []))
    parts = (found[0], found[1], found[2]) if found else None
    return Claims(
        kid, claims["sub"], account_pk, credential, claims["exp"], actions, claims["jti"], access_token, parts
    )


def _actions(entries: object) -> dict[str, frozenset[str]]:
    if not isinstance(entries, list):
        raise InvalidTokenError("the claim access is not a list")
    found: dict[str, frozenset[str]] = {}
    for entry in entries:
        kind, name, actions = _entry(entry)
        if kind in REPOSITORY_TYPES and actions:
            found[name] = action_list.interned(found.get(name, frozenset()) | frozenset(actions))
    return found


def _entry(entry: object) -> tuple[str, str, list[str]]:
    if not isinstance(entry, dict):
        raise InvalidTokenError("an entry of the claim access is not an object")
    kind, name, actions = entry.get("type"), entry.get("name"), entry.get("actions")
    if not isinstance(kind, str) or not isinstance(name, str) or not isinstance(actions, list):
        raise InvalidTokenError("an entry of the claim access lacks a field or has one of another type")
    if not all(isinstance(action, str) for action in actions):
        raise InvalidTokenError("an entry of the claim access has an action that is not a string")
    return kind, name, actions
