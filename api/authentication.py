"""Credentials of the management API: name and password, as at `/v2/token`, or an access token."""

from dataclasses import dataclass, field

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.request import Request

from accounts.authentication import BusyError, TooManyFailuresError
from accounts.identity import Identity
from accounts.login_log import BUSY, MALFORMED, THROTTLED, UNAVAILABLE, log_refusal
from accounts.models import Account
from accounts.providers import ProviderUnavailableError
from core.api.notes import ACCOUNT
from tokens.access import secret, store
from tokens.credentials import MalformedCredentialsError, basic_credentials

MALFORMED_DETAIL = (
    "The Authorization header is neither Basic with a name and a password nor Bearer with an access token."
)


class BusyAPIError(APIException):
    status_code = 503
    default_detail = "Too many logins at once; try again in a moment."
    default_code = "busy"
    wait = 5
    """Seconds in the Retry-After header."""


class ProviderUnavailableAPIError(APIException):
    status_code = 503
    default_code = "unavailable"

    def __init__(self, error: ProviderUnavailableError) -> None:
        super().__init__(f"{error.reason.capitalize()}.")
        self.wait = error.retry_after_seconds


@dataclass(frozen=True, slots=True)
class _Presented:
    """What the header has; `name` is None for an access token alone, whose row names the account."""

    name: str | None
    secret: str = field(repr=False)


class CachedBasicAuthentication(BaseAuthentication):
    """Basic with a password or an access token (RFC 7617), or Bearer with an access token (RFC 6750); no cookies.

    Passwords have the throttle and cache of `/v2/token`. An access token costs no bcrypt, and a wrong one counts as no
    failed login: nobody guesses 238 random bits, and a machine with an old token must not lock its account's owner out.
    """

    proof = "password"
    """The credential in the audit, unless an access token is."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        """Return the account and its identity, None without credentials."""
        http = request._request
        try:
            presented = _presented(http)
        except MalformedCredentialsError as error:
            log_refusal(http, None, "api", MALFORMED)
            raise AuthenticationFailed(MALFORMED_DETAIL) from error
        if presented is None:
            return None
        is_token = secret.has_checksum(presented.secret)
        identity = _identified(presented, http)
        # None also for an account that was deleted or deactivated meanwhile.
        account = Account.objects.filter(name=identity.name, is_active=True).first() if identity else None
        if identity is None or account is None:
            log_refusal(http, presented.name, "access_token" if is_token else "api")
            raise AuthenticationFailed(
                "The access token is wrong, revoked or has expired." if is_token else "Wrong name or password."
            )
        http.META[ACCOUNT] = identity.name
        return account, identity

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Registry API", charset="UTF-8"'


def _presented(request: HttpRequest) -> _Presented | None:
    """Return the credentials of the header. Raises MalformedCredentialsError."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        if not secret.has_checksum(token.strip()):
            raise MalformedCredentialsError
        return _Presented(None, token.strip())
    found = basic_credentials(request)
    return None if found is None else _Presented(found.name, found.password)


def _identified(presented: _Presented, request: HttpRequest) -> Identity | None:
    if presented.name is None:
        return store.identify_bearer(presented.secret, request)
    try:
        return store.identify(presented.name, presented.secret, request)
    except BusyError as error:
        log_refusal(request, presented.name, "api", BUSY)
        raise BusyAPIError from error
    except ProviderUnavailableError as error:
        log_refusal(request, presented.name, "api", UNAVAILABLE)
        raise ProviderUnavailableAPIError(error) from error
    except TooManyFailuresError as error:
        log_refusal(request, presented.name, "api", THROTTLED)
        raise Throttled(error.retry_after_seconds, f"{error.reason.capitalize()}.") from error
