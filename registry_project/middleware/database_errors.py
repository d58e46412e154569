"""Pages and the JSON API while the database does not do what they need: 503, in words, and no traceback."""

from collections.abc import Callable

from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from core.db.database_fault import BUSY, FULL, READ_ONLY, Fault, report

_API = "/api/"

# Found before anything is written.
_NOTHING_WRITTEN = (BUSY, FULL, READ_ONLY)


class DatabaseErrorMiddleware:
    """Answer for a view that an error of the database ended."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass every request on."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Return the answer, None when something else has failed."""
        if not isinstance(exception, DatabaseFault):
            return None
        fault = report(exception)
        detail = f"{fault.reason[0].upper()}{fault.reason[1:]}.{_outcome(request, fault)}"
        response = _json(detail) if request.path.startswith(_API) else _page(detail)
        response["Retry-After"] = str(fault.retry_after_seconds)
        return response


def _outcome(request: HttpRequest, fault: Fault) -> str:
    if request.method in ("GET", "HEAD"):
        return ""
    if fault in _NOTHING_WRITTEN:
        return " Nothing was changed."
    return " Whether the change was made is not known: check before you try again."


def _json(detail: str) -> HttpResponse:
    return JsonResponse({"detail": detail}, status=503)


def _page(detail: str) -> HttpResponse:
    # No page of the admin's: its frame asks the database who is looking.
    return HttpResponse(render_to_string("database_error.html", {"detail": detail}), status=503)
