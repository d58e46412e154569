"""Answer database errors of pages and of the JSON API by a 503 with a sentence."""

from collections.abc import Callable

from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from core.db.database_fault import BUSY, FULL, READ_ONLY, Fault, report

_API = "/api/"

# Faults that come before any write.
_NOTHING_WRITTEN = (BUSY, FULL, READ_ONLY)


class DatabaseErrorMiddleware:
    """Turns a database error of a view into a 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on; `process_exception` does the work."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Return a 503; None means that the exception is not a database error."""
        if not isinstance(exception, DatabaseFault):
            return None
        fault = report(exception)
        detail = f"{fault.reason[0].upper()}{fault.reason[1:]}.{_outcome(request, fault)}"
        if request.path.startswith(_API):
            response: HttpResponse = JsonResponse({"detail": detail}, status=503)
        else:
            # The admin's own layout would query the database for the user.
            response = HttpResponse(render_to_string("database_error.html", {"detail": detail}), status=503)
        response["Retry-After"] = str(fault.retry_after_seconds)
        return response


def _outcome(request: HttpRequest, fault: Fault) -> str:
    if request.method in ("GET", "HEAD"):
        return ""
    if fault in _NOTHING_WRITTEN:
        return " Nothing was changed."
    return " Whether the change was made is not known: check before you try again."
