"""Authenticate a request to `/v2/` by its bearer token, or answer 401 with a challenge."""

import logging
from collections.abc import Callable

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
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        raise unauthorized(request, wanted)
    try:
        bearer = verify(token.strip(), permissions_version.current())
    except ExpiredTokenError as error:
        bearer = error.bearer
        if may_outlive is None or not may_outlive(bearer):
            raise unauthorized(request, wanted, "invalid_token") from error
    except InvalidTokenError as error:
        TOKENS_REFUSED.add()
        logger.info("token refused", extra={"reason": str(error), "client": request.META.get("REMOTE_ADDR")})
        raise unauthorized(request, wanted, "invalid_token") from error
    request.META[ACCOUNT] = bearer.identity.name or ANONYMOUS_NAME
    request.META[JTI] = bearer.claims.token_id
    return bearer


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
