"""`GET /metrics` for who sends the token `server.metrics_token`; without that setting the path is not found."""

import hmac
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from core.api.notes import PROBE
from core.metrics import cells
from monitoring import exposition
from registry_project.version import VERSION

PATH = "/metrics"


class MetricsMiddleware:
    """Answers scrapes before the check of their Host, which is the address of a pod."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._token: str | None = settings.REGISTRY.server.metrics_token

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `/metrics`; pass other paths on."""
        folder = cells.folder()
        if request.path_info != PATH or self._token is None or folder is None:
            return self._get_response(request)
        if not _has(request, self._token):
            return _answer("a token is needed\n", 401, {"WWW-Authenticate": 'Bearer realm="metrics"'})
        if request.method not in ("GET", "HEAD"):
            return _answer("this path takes GET, HEAD\n", 405, {"Allow": "GET, HEAD"})
        request.META[PROBE] = True
        body, media_type = exposition.text(folder, VERSION, request.META.get("HTTP_ACCEPT", ""))
        return _answer(body, 200, {"Content-Type": media_type})


def _has(request: HttpRequest, token: str) -> bool:
    """Tell whether the request has the token, in a time that does not depend on it."""
    scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _answer(body: str | bytes, status: int, headers: dict[str, str]) -> HttpResponse:
    common = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
    response = HttpResponse(body, status=status, headers=common | headers)
    # Django's middleware for it comes later; without it gunicorn sends chunks.
    response["Content-Length"] = str(len(response.content))
    return response
