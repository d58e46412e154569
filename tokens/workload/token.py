"""Verify the token of a trusted issuer (RFC 7519; OpenID Connect Core, section 2)."""

import time
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings

from configuration.identities import TrustedIssuer
from tokens.workload.keys import keys_of

LEEWAY_SECONDS = 60
MAX_BYTES = 16 * 1024
MAX_LIFETIME_SECONDS = 24 * 60 * 60
MAX_SUBJECT_CHARACTERS = 255
_TIMES = ("exp", "nbf", "iat")


class RefusedError(Exception):
    """The token is no login; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class WorkloadToken:
    """A verified token."""

    issuer: TrustedIssuer
    subject: str
    expires_at: int
    claims: dict[str, Any]


def issuer_named(name: object) -> TrustedIssuer | None:
    """Return the trusted issuer of this name."""
    return next((each for each in settings.REGISTRY.auth.trusted_issuers if each.issuer == name), None)


def verified(token: str) -> WorkloadToken:
    """Return the token. Raises RefusedError, and KeysUnavailableError of its issuer."""
    if len(token) > MAX_BYTES:
        raise RefusedError(f"the token has more than {MAX_BYTES} bytes")
    try:
        header = jwt.get_unverified_header(token)
        named = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except Exception as error:
        # Any exception of a parser means a bad token, never a server error.
        raise RefusedError(f"the token can't be read: {type(error).__name__}") from error
    issuer = issuer_named(named)
    if issuer is None:
        raise RefusedError(f"the issuer {str(named)[:200]!a} is not trusted")
    kid = header.get("kid")
    if not isinstance(kid, str) or len(kid) > MAX_SUBJECT_CHARACTERS or "crit" in header:
        raise RefusedError("the header has no kid, or names critical parameters")
    key = keys_of(issuer).key(kid)
    if key is None:
        raise RefusedError(f"{issuer.issuer} has no key {kid!a} that may be used")
    algorithm = header.get("alg")
    if algorithm not in key.algorithms:
        raise RefusedError(f"the algorithm {str(algorithm)[:20]!a} is none of this key: {', '.join(key.algorithms)}")
    try:
        # The key decides the algorithms.
        claims = jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "sub", "exp"]},
        )
    except Exception as error:
        raise RefusedError(f"{type(error).__name__}: {error}") from error
    return _checked(issuer, claims)


def _checked(issuer: TrustedIssuer, claims: dict[str, Any]) -> WorkloadToken:
    for name in _TIMES:
        # PyJWT takes strings and fractions too.
        if name in claims and type(claims[name]) is not int:
            raise RefusedError(f"the claim {name} is not an integer")
    subject, expires_at = claims["sub"], claims["exp"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS or not subject.isprintable():
        raise RefusedError(f"the claim sub is not a string of 1 to {MAX_SUBJECT_CHARACTERS} printable characters")
    if expires_at - claims.get("iat", int(time.time())) > MAX_LIFETIME_SECONDS:
        raise RefusedError(f"the token is valid for more than {MAX_LIFETIME_SECONDS // 3600} hours")
    return WorkloadToken(issuer, subject, expires_at, claims)
