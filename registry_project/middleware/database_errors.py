"""Answer database errors of pages and of the JSON API with a 503 that says what happened."""

from collections.abc import Callable

from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from api.problems import problem_response
from core.db.database_fault import BUSY, FULL, READ_ONLY, report

_API = "/api/"

# Faults that happen before any write.
_NOTHING_WRITTEN = (BUSY, FULL, READ_ONLY)


class DatabaseErrorMiddleware:
    """Translate a database error of a view into a 503."""

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
        if request.method in ("GET", "HEAD"):
            outcome = ""
        elif fault in _NOTHING_WRITTEN:
            outcome = " Nothing was changed."
        else:
            outcome = " Whether the change was made is not known: check before you try again."
        detail = f"{fault.reason[0].upper()}{fault.reason[1:]}.{outcome}"
        if request.path.startswith(_API):
            response: HttpResponse = problem_response(503, detail)
        else:
            # The admin's own layout would query the database for the user.
            response = HttpResponse(render_to_string("database_error.html", {"detail": detail}), status=503)
        response["Retry-After"] = str(fault.retry_after_seconds)
        return response
