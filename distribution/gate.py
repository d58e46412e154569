"""Answer `/v2/` before any middleware that is made for browsers: no sessions, cookies, CSRF, redirects."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve

_URLS = "distribution.urls"


class RegistryGateMiddleware:
    """Call the registry's own views for paths under `/v2`; everything else goes on to the browser's part."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Remember what comes after."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or go on."""
        path = request.path_info
        if not (path.startswith("/v2/") or path == "/v2"):
            return self._get_response(request)
        match = resolve(path, urlconf=_URLS)
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response
