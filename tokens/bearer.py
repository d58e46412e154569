"""Authenticate a request to `/v2/` by its bearer token, or answer 401 with a challenge."""

import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from accounts import permissions_version
from acl.actions import Access
from core.api.errors import ErrorCode, RegistryError
from core.api.notes import ACCOUNT, ANONYMOUS_NAME, JTI
from core.metrics.catalog import TOKENS_REFUSED
from tokens.challenge import ChallengeError, bearer_challenge
from tokens.verify import Bearer, ExpiredTokenError, InvalidTokenError, verify

logger = logging.getLogger(__name__)


def bearer_of(
    request: HttpRequest, wanted: tuple[Access, ...] = (), may_outlive: Callable[[Bearer], bool] | None = None
) -> Bearer:
    """Return the request's bearer. Raises RegistryError UNAUTHORIZED with a challenge for `wanted`.

    `may_outlive` decides about an expired token. Only the Authorization header counts, never a cookie.
    """
    token = _token_of(request.META)
    if token is None:
        raise unauthorized(request, wanted)
    try:
        bearer = verify(token, permissions_version.current())
    except ExpiredTokenError as error:
        bearer = error.bearer
        if may_outlive is None or not may_outlive(bearer):
            raise unauthorized(request, wanted, "invalid_token") from error
    except InvalidTokenError as error:
        TOKENS_REFUSED.add()
        logger.info("token refused", extra={"reason": str(error), "client": request.META.get("REMOTE_ADDR")})
        raise unauthorized(request, wanted, "invalid_token") from error
    return _noted(request.META, bearer)


def bearer_at(meta: dict[str, Any], version: str) -> Bearer | None:
    """Return the bearer of an environment at a permissions version that the caller compares with the current one.

    None means that `bearer_of` decides, about an invalid or missing token.
    """
    token = _token_of(meta)
    if token is None:
        return None
    try:
        bearer = verify(token, version)
    except InvalidTokenError:
        return None
    return _noted(meta, bearer)


def _token_of(meta: dict[str, Any]) -> str | None:
    scheme, _, token = meta.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _noted(meta: dict[str, Any], bearer: Bearer) -> Bearer:
    """Note the bearer for the access log, and return it with the rules that count for the client's address."""
    meta[ACCOUNT] = bearer.identity.name or ANONYMOUS_NAME
    meta[JTI] = bearer.claims.token_id
    return bearer.at(meta.get("REMOTE_ADDR", "")) if bearer.has_networks else bearer


def unauthorized(
    request: HttpRequest,
    wanted: tuple[Access, ...] = (),
    error: ChallengeError | None = None,
    description: str | None = None,
) -> RegistryError:
    """Return the 401 with a challenge for `wanted`."""
    challenge = bearer_challenge(request, wanted, error, description)
    detail = [{"Type": a.type, "Name": a.name, "Action": action} for a in wanted for action in sorted(a.actions)]
    return RegistryError(ErrorCode.UNAUTHORIZED, detail or None, headers={"WWW-Authenticate": challenge})
