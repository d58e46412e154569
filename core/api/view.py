"""The base view of every path of `/v2/`: it renders errors in the protocol's form and sets the common headers."""

import logging
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import DisallowedHost, SuspiciousOperation, TooManyFieldsSent
from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import View

from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db.database_fault import report

logger = logging.getLogger(__name__)

COMMON_HEADERS = {
    "Docker-Distribution-API-Version": "registry/2.0",
    # A manifest that a browser takes for a page would run in the admin's origin.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class RegistryView(View):
    """Answer one path of `/v2/`. Subclasses raise RegistryError; here is the one place that renders it."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "put", "patch", "delete"]  # type: ignore[misc]

    malformed_code: ClassVar[ErrorCode] = ErrorCode.UNKNOWN
    """The code for a request that Django refuses to parse."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Call the method's handler and give its answer, or its error, the headers of every answer."""
        try:
            response = self.answer(request, *args, **kwargs)
        except RegistryError as error:
            response = self.render(request, error)
        except SuspiciousOperation as error:
            response = self.render(request, _malformed(self.malformed_code, error))
        except DatabaseFault as error:
            fault = report(error)
            response = self.render(request, unavailable(fault.reason, fault.retry_after_seconds))
        except Exception:
            logger.exception("unexpected error", extra={"path": request.path, "method": request.method})
            response = self.render(request, RegistryError(ErrorCode.UNKNOWN))
        return _finished(request, response)

    def render(self, request: HttpRequest, error: RegistryError) -> JsonResponse:
        """Return the error as the protocol wants it."""
        return error_response(error)

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the handler's response. Raises RegistryError."""
        return super().dispatch(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Raise UNSUPPORTED with the methods that this path has."""
        allowed = ", ".join(name.upper() for name in self.http_method_names if hasattr(self, name))
        raise RegistryError(ErrorCode.UNSUPPORTED, f"this path takes {allowed}", headers={"Allow": allowed})


def _malformed(code: ErrorCode, error: SuspiciousOperation) -> RegistryError:
    """Return the 400 in words of our own, since Django's name its settings."""
    if isinstance(error, DisallowedHost):
        code, detail = ErrorCode.UNKNOWN, "the Host header is not served here"
    elif isinstance(error, TooManyFieldsSent):
        detail = f"the request has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} parameters"
    else:
        detail = "the request is malformed"
    # The message is all that docker prints.
    return RegistryError(code, detail, status=400, message=detail)


def error_response(error: RegistryError) -> JsonResponse:
    """Return the error as the protocol wants it."""
    return JsonResponse(error.body(), status=error.status, headers=error.headers)


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Add what every answer under `/v2/` carries; an answer to HEAD has the headers of GET and no body."""
    for name, value in COMMON_HEADERS.items():
        response.headers[name] = value
    if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
        response.headers.setdefault("Content-Length", str(len(response.content)))
        if request.method == "HEAD":
            response.content = b""
    return response
