"""`GET /v2/token`: a name and a password, or nothing, for a token.

Source: Docker token authentication specification, "Requesting a token".
"""

import logging

from django.conf import settings
from django.http import HttpRequest, JsonResponse

from accounts.authentication import BusyError, TooManyFailuresError, identify
from accounts.identity import ANONYMOUS, Identity
from tokens.challenge import basic_challenge
from tokens.credentials import Credentials, MalformedCredentialsError, basic_credentials
from tokens.errors import ErrorCode, RegistryError
from tokens.issue import IssuedToken, issue
from tokens.scope import parse_scopes
from tokens.views.base import RegistryView, unavailable

logger = logging.getLogger(__name__)


class TokenView(RegistryView):
    """Issue tokens."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """Answer with a token for what was asked and is allowed; 401 for wrong credentials, never 403."""
        _check_service(request.GET.get("service"))
        requested = parse_scopes(request.GET.getlist("scope"))
        identity = _authenticated(request)
        return _token_response(issue(identity, requested))


def _check_service(service: str | None) -> None:
    expected = settings.REGISTRY.auth.service
    if service is not None and service != expected:
        raise RegistryError(ErrorCode.DENIED, f"this token server is for the service {expected!r}", status=400)


def _authenticated(request: HttpRequest) -> Identity:
    try:
        credentials = basic_credentials(request)
    except MalformedCredentialsError as error:
        raise _wrong_credentials() from error
    if credentials is None or credentials.are_blank:
        return ANONYMOUS
    account = request.GET.get("account")
    if account and account != credentials.name:
        raise _wrong_credentials()
    try:
        identity = identify(credentials.name, credentials.password, request)
    except BusyError as error:
        raise unavailable("too many logins at once") from error
    except TooManyFailuresError as error:
        raise _too_many_failures(request, credentials, error.retry_after_seconds) from error
    if identity is None:
        logger.info(
            "login refused",
            extra={"account": credentials.name[:128], "client": request.META.get("REMOTE_ADDR")},
        )
        raise _wrong_credentials()
    return identity


def _too_many_failures(request: HttpRequest, credentials: Credentials, seconds: int) -> RegistryError:
    logger.warning(
        "login refused after too many wrong passwords",
        extra={"account": credentials.name[:128], "client": request.META.get("REMOTE_ADDR")},
    )
    detail = f"too many wrong passwords for this account from this address; try again in {seconds} s"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": str(seconds)})


def _wrong_credentials() -> RegistryError:
    return RegistryError(ErrorCode.UNAUTHORIZED, None, headers={"WWW-Authenticate": basic_challenge()})


def _token_response(issued: IssuedToken) -> JsonResponse:
    body = {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in_seconds,
        "issued_at": issued.issued_at.isoformat().replace("+00:00", "Z"),
        "scope": issued.scope,
    }
    return JsonResponse(body, headers={"Cache-Control": "no-store"})
