"""Log in by name and password, with errors of the protocol."""

from django.http import HttpRequest

from accounts.authentication import BusyError, TooManyFailuresError, identify
from accounts.identity import Identity
from accounts.login_log import BUSY, THROTTLED, log_login, log_refusal
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.api.notes import ACCOUNT
from tokens.challenge import basic_challenge
from tokens.credentials import Credentials


def log_in(request: HttpRequest, credentials: Credentials, grant: str) -> Identity:
    """Return the identity, and log the login with `grant`.

    Raises RegistryError: UNAUTHORIZED, UNAVAILABLE, or TOOMANYREQUESTS after too many wrong passwords.
    """
    try:
        identity = identify(credentials.name, credentials.password, request)
    except BusyError as error:
        log_refusal(request, credentials.name, grant, BUSY)
        raise unavailable("too many logins at once") from error
    except TooManyFailuresError as error:
        log_refusal(request, credentials.name, grant, THROTTLED)
        seconds = str(error.retry_after_seconds)
        detail = f"{error.reason}; try again in {seconds} s"
        raise RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": seconds}) from error
    if identity is None:
        log_refusal(request, credentials.name, grant)
        raise wrong_credentials()
    log_login(request, identity.name, grant)
    request.META[ACCOUNT] = identity.name
    return identity


def wrong_credentials(detail: str = "wrong account or password") -> RegistryError:
    """Return the 401 with a Basic challenge."""
    # Without a detail docker prints only "unauthorized".
    return RegistryError(ErrorCode.UNAUTHORIZED, detail, headers={"WWW-Authenticate": basic_challenge()})
