"""Log a workload in by the token of its issuer, given as the password of any name."""

import re

from django.conf import settings
from django.http import HttpRequest

from accounts import permissions_version
from accounts.identity import Identity
from accounts.login_log import THROTTLED, log_login, log_refusal
from accounts.throttling import throttle
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.api.notes import ACCOUNT
from tokens.challenge import wrong_credentials
from tokens.credentials import Credentials
from tokens.workload.identities import identity_by
from tokens.workload.keys import KeysUnavailableError
from tokens.workload.token import RefusedError, verified

GRANT = "workload"
REFUSED = "login refused: the token of a workload is not accepted"
NO_KEYS = "login refused: the keys of the issuer of a workload are not available"
# An empty signature is that of `alg: none`.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def is_presented(password: str) -> bool:
    """Tell whether the password is a JWT, and issuers are trusted."""
    return bool(settings.REGISTRY.auth.trusted_issuers) and _JWT.fullmatch(password) is not None


def log_in(request: HttpRequest, credentials: Credentials) -> Identity:
    """Return the identity of the token, and log the login.

    Failures are throttled by address; a valid token passes always, since nobody guesses a signature. Raises
    RegistryError: UNAUTHORIZED without the reason, which the log has; UNAVAILABLE, TOOMANYREQUESTS.
    """
    try:
        token = verified(credentials.password)
        identity = identity_by(token, permissions_version.current())
    except KeysUnavailableError as error:
        log_refusal(request, credentials.name, GRANT, NO_KEYS, str(error))
        raise unavailable("the keys of the issuer can't be fetched") from None
    except RefusedError as error:
        refusal = throttle.refusal(throttle.WORKLOADS, request)
        if refusal is not None:
            log_refusal(request, credentials.name, GRANT, THROTTLED, str(error))
            headers = {"Retry-After": str(refusal.seconds)}
            detail = f"{refusal.reason}; try again in {refusal.seconds} s"
            raise RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers=headers) from None
        throttle.count_failure(throttle.WORKLOADS, request)
        log_refusal(request, credentials.name, GRANT, REFUSED, str(error))
        raise wrong_credentials() from None
    log_login(request, identity.name, GRANT, f"{token.subject} of {token.issuer.issuer}")
    request.META[ACCOUNT] = identity.name
    return identity
