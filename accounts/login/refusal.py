"""The response to a login that is refused before its password is looked at."""

from django.http import HttpResponse

from accounts.authentication import BusyError, TooManyFailuresError
from accounts.login.forms import CROWDED
from accounts.providers import ProviderUnavailableError

# The Retry-After of a login that the password queue refuses.
BUSY_SECONDS = 2


def refused(error: BusyError | TooManyFailuresError | ProviderUnavailableError) -> HttpResponse:
    """Return a 429 in plain text, 503 without the provider: a page takes four times as long."""
    status = 429
    if isinstance(error, ProviderUnavailableError):
        detail, seconds, status = f"{error.reason.capitalize()}.", error.retry_after_seconds, 503
    elif isinstance(error, TooManyFailuresError):
        seconds = error.retry_after_seconds
        detail = f"{error.reason.capitalize()}; wait {seconds} s."
    else:
        detail, seconds = CROWDED, BUSY_SECONDS
    headers = {"Retry-After": str(seconds)}
    return HttpResponse(detail, status=status, content_type="text/plain; charset=utf-8", headers=headers)
