"""Check the name and password of a token request, and say no in the protocol's form."""

import logging

from django.http import HttpRequest

from accounts.authentication import BusyError, TooManyFailuresError, identify
from accounts.identity import Identity
from tokens.challenge import basic_challenge
from tokens.credentials import Credentials
from tokens.errors import ErrorCode, RegistryError
from tokens.views.base import unavailable

logger = logging.getLogger(__name__)


def log_in(request: HttpRequest, credentials: Credentials) -> Identity:
    """Return who logs in. Raises UNAUTHORIZED, TOOMANYREQUESTS after too many wrong passwords, UNAVAILABLE."""
    try:
        identity = identify(credentials.name, credentials.password, request)
    except BusyError as error:
        raise unavailable("too many logins at once") from error
    except TooManyFailuresError as error:
        _log(request, credentials.name, "login refused after too many wrong passwords")
        raise _too_many_failures(error.retry_after_seconds) from error
    if identity is None:
        _log(request, credentials.name, "login refused")
        raise wrong_credentials()
    return identity


def wrong_credentials() -> RegistryError:
    """Return the 401 that asks for a name and a password."""
    # Without a detail docker prints the bare word "unauthorized".
    detail = "wrong account or password"
    return RegistryError(ErrorCode.UNAUTHORIZED, detail, headers={"WWW-Authenticate": basic_challenge()})


def _too_many_failures(seconds: int) -> RegistryError:
    detail = f"too many wrong passwords for this account from this address; try again in {seconds} s"
    return RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": str(seconds)})


def _log(request: HttpRequest, account: str, message: str) -> None:
    logger.warning(message, extra={"account": account[:128], "client": request.META.get("REMOTE_ADDR")})
