"""The base view of every path of `/v2/`: it renders errors by the protocol and sets the common headers."""

import logging
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import DisallowedHost, SuspiciousOperation, TooManyFieldsSent
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import View

from core.api.errors import ErrorCode, RegistryError, unavailable
from core.db.database_fault import report

logger = logging.getLogger(__name__)

_encode = DjangoJSONEncoder().encode

COMMON_HEADERS = {
    "Docker-Distribution-API-Version": "registry/2.0",
    # A manifest that a browser renders as a page would run in the admin's origin.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class RegistryView(View):
    """Answer one path of `/v2/`. Subclasses raise RegistryError, which only this class renders."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "put", "patch", "delete"]  # type: ignore[misc]

    malformed_code: ClassVar[ErrorCode] = ErrorCode.UNKNOWN
    """The code for a request that Django refuses to parse."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Call the method's handler, render its error, and add the common headers."""
        try:
            response = self.answer(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - `error_of` logs it
            response = self.render(request, error_of(error, request.method, request.path, self.malformed_code))
        return finished(request.method, response)

    def render(self, request: HttpRequest, error: RegistryError) -> JsonResponse:
        return error_response(error)

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the handler's response. Raises RegistryError."""
        return super().dispatch(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Raise UNSUPPORTED with the methods of this path."""
        allowed = ", ".join(name.upper() for name in self.http_method_names if hasattr(self, name))
        raise RegistryError(ErrorCode.UNSUPPORTED, f"this path takes {allowed}", headers={"Allow": allowed})


def error_of(
    error: Exception, method: str | None, path: str, malformed_code: ErrorCode = ErrorCode.UNKNOWN
) -> RegistryError:
    """Return the error for the client; an unexpected one is logged."""
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, SuspiciousOperation):
        return _malformed(malformed_code, error)
    if isinstance(error, DatabaseFault):
        fault = report(error)
        return unavailable(fault.reason, fault.retry_after_seconds)
    logger.error("unexpected error", exc_info=error, extra={"path": path, "method": method})
    return RegistryError(ErrorCode.UNKNOWN)


def _malformed(code: ErrorCode, error: SuspiciousOperation) -> RegistryError:
    """Return the 400 with a message of our own, since Django's contain its settings."""
    if isinstance(error, DisallowedHost):
        code, detail = ErrorCode.UNKNOWN, "the Host header is not served here"
    elif isinstance(error, TooManyFieldsSent):
        detail = f"the request has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} parameters"
    else:
        detail = "the request is malformed"
    # docker prints only the message.
    return RegistryError(code, detail, status=400, message=detail)


def error_response(error: RegistryError) -> JsonResponse:
    """Render the error by the protocol."""
    return JsonResponse(error.body(), status=error.status, headers=error.headers)


def error_fields(error: RegistryError, method: str) -> tuple[dict[str, str], bytes]:
    """Return the header fields and the body of `error_response` as `finished` leaves them, without its object."""
    payload = _encode(error.body()).encode()
    fields = error.headers | {"Content-Type": "application/json"} | COMMON_HEADERS
    fields.setdefault("Content-Length", str(len(payload)))
    return fields, b"" if method == "HEAD" else payload


def finished(method: str | None, response: HttpResponseBase) -> HttpResponseBase:
    """Add the common headers; an answer to HEAD has the headers of GET and no body."""
    for name, value in COMMON_HEADERS.items():
        response.headers[name] = value
    if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
        response.headers.setdefault("Content-Length", str(len(response.content)))
        if method == "HEAD":
            response.content = b""
    return response
