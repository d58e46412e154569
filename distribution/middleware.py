"""Route `/v2/` before any middleware that is made for browsers: no sessions, cookies, CSRF, redirects."""

from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_resolver

from core.api.errors import ErrorCode
from core.api.notes import ROUTE
from distribution.views.root import UnknownPathView

# Frequent paths are short. A path and its match take some 1700 bytes, and each upload and blob has a path of its own:
# the cache takes less than 2 MiB in each worker.
REMEMBERED_PATHS = 1024
REMEMBERED_CHARACTERS = 256

_URLS = "distribution.urls"

_encoded_slash = UnknownPathView.as_view(
    code=ErrorCode.NAME_INVALID, detail="a slash in the path must not be percent-encoded"
)


class RegistryMiddleware:
    """Call the registry's own views for paths under `/v2`; pass everything else on to the next middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._resolver = get_resolver(_URLS)
        # Compiles every pattern before the workers are forked, which then share them.
        self._resolver.check()
        self._remembered = lru_cache(maxsize=REMEMBERED_PATHS)(self._resolver.resolve)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not is_registry_path(path):
            return self._get_response(request)
        # A proxy may have checked `%2F` as part of one component, while Django decodes it to a slash between two.
        if "%2f" in request.META.get("RAW_URI", "").partition("?")[0].lower():
            return _encoded_slash(request)
        match = self._remembered(path) if len(path) <= REMEMBERED_CHARACTERS else self._resolver.resolve(path)
        request.resolver_match = request.META[ROUTE] = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response


def is_registry_path(path: str) -> bool:
    return path.startswith("/v2/") or path == "/v2"
