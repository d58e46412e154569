"""Basic authentication for the management API, with the throttle and password cache of `/v2/token`."""

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.request import Request

from accounts.authentication import BusyError, TooManyFailuresError, identify
from accounts.identity import Identity
from accounts.login_log import BUSY, MALFORMED, THROTTLED, log_refusal
from accounts.models import Account
from core.api.notes import ACCOUNT
from tokens.credentials import Credentials, MalformedCredentialsError, basic_credentials


class BusyAPIError(APIException):
    status_code = 503
    default_detail = "Too many logins at once; try again in a moment."
    default_code = "busy"
    wait = 5
    """Seconds in the Retry-After header."""


class CachedBasicAuthentication(BaseAuthentication):
    """Basic authentication (RFC 7617), without sessions or cookies."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        """Return the account and its identity, None without credentials."""
        try:
            credentials = basic_credentials(request._request)
        except MalformedCredentialsError as error:
            log_refusal(request._request, None, "api", MALFORMED)
            raise AuthenticationFailed("The Authorization header is not Basic with a name and a password.") from error
        if credentials is None:
            return None
        identity = _identify(credentials, request._request)
        # None also for an account that was deleted or deactivated meanwhile.
        account = Account.objects.filter(name=identity.name, is_active=True).first() if identity else None
        if identity is None or account is None:
            log_refusal(request._request, credentials.name, "api")
            raise AuthenticationFailed("Wrong name or password.")
        request._request.META[ACCOUNT] = identity.name
        return account, identity

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Registry API", charset="UTF-8"'


def _identify(credentials: Credentials, request: HttpRequest) -> Identity | None:
    try:
        return identify(credentials.name, credentials.password, request)
    except BusyError as error:
        log_refusal(request, credentials.name, "api", BUSY)
        raise BusyAPIError from error
    except TooManyFailuresError as error:
        log_refusal(request, credentials.name, "api", THROTTLED)
        raise Throttled(error.retry_after_seconds, f"{error.reason.capitalize()}.") from error
