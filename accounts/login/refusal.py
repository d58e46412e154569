"""The response to a login that is refused before its password is looked at."""

from django.http import HttpResponse

from accounts.authentication import BusyError, TooManyFailuresError
from accounts.login.forms import CROWDED

# The Retry-After of a login that the password queue refuses.
BUSY_SECONDS = 2


def refused(error: BusyError | TooManyFailuresError) -> HttpResponse:
    """Return a 429 in plain text: a page takes four times as long."""
    if isinstance(error, TooManyFailuresError):
        seconds = error.retry_after_seconds
        detail = f"{error.reason.capitalize()}; wait {seconds} s."
    else:
        detail, seconds = CROWDED, BUSY_SECONDS
    headers = {"Retry-After": str(seconds)}
    return HttpResponse(detail, status=429, content_type="text/plain; charset=utf-8", headers=headers)
