"""Answer `/v2/` before any middleware that is made for browsers: no sessions, cookies, CSRF, redirects."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_resolver

from distribution.views.unknown import UnknownPathView
from tokens.errors import ErrorCode

_URLS = "distribution.urls"

_encoded_slash = UnknownPathView.as_view(code=ErrorCode.NAME_INVALID, detail="a slash of a path is written as it is")


class RegistryGateMiddleware:
    """Call the registry's own views for paths under `/v2`; everything else goes on to the browser's part."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Remember what comes after, and read every path now: before the workers are forked, which share them."""
        self._get_response = get_response
        self._resolver = get_resolver(_URLS)
        self._resolver.check()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or go on."""
        path = request.path_info
        if not (path.startswith("/v2/") or path == "/v2"):
            return self._get_response(request)
        if _has_encoded_slash(request):
            return _encoded_slash(request)
        match = self._resolver.resolve(path)
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response


def _has_encoded_slash(request: HttpRequest) -> bool:
    """Tell whether the path had `%2F`, which a proxy in front may have judged as one component and not as two."""
    path, _, _ = request.META.get("RAW_URI", "").partition("?")
    return "%2f" in path.lower()
