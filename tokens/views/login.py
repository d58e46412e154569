"""Check the name and password of a token request, and say no in the protocol's form."""

from django.http import HttpRequest

from accounts.authentication import BusyError, TooManyFailuresError, identify
from accounts.identity import Identity
from accounts.login_log import BUSY, THROTTLED, log_login, log_refusal
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.api.notes import note_account
from tokens.challenge import basic_challenge
from tokens.credentials import Credentials


def log_in(request: HttpRequest, credentials: Credentials, grant: str) -> Identity:
    """Return who logs in, and log it as by `grant`.

    Raises UNAUTHORIZED, TOOMANYREQUESTS after too many wrong passwords, UNAVAILABLE.
    """
    try:
        identity = identify(credentials.name, credentials.password, request)
    except BusyError as error:
        log_refusal(request, credentials.name, grant, BUSY)
        raise unavailable("too many logins at once") from error
    except TooManyFailuresError as error:
        log_refusal(request, credentials.name, grant, THROTTLED)
        raise _too_many_failures(error) from error
    if identity is None:
        log_refusal(request, credentials.name, grant)
        raise wrong_credentials()
    log_login(request, identity.name, grant)
    note_account(request, identity.name)
    return identity


def wrong_credentials(detail: str = "wrong account or password") -> RegistryError:
    """Return the 401 that asks for a name and a password."""
    # Without a detail docker prints the bare word "unauthorized".
    return RegistryError(ErrorCode.UNAUTHORIZED, detail, headers={"WWW-Authenticate": basic_challenge()})


def _too_many_failures(error: TooManyFailuresError) -> RegistryError:
    seconds = str(error.retry_after_seconds)
    detail = f"{error.reason}; try again in {seconds} s"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": seconds})
