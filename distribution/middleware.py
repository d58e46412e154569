"""Route `/v2/` before any middleware that is made for browsers: no sessions, cookies, CSRF, redirects."""

from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponseBase
from django.urls import ResolverMatch, get_resolver

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
        # Compiles every pattern before the workers are forked, which then share them.
        get_resolver(_URLS).check()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not is_registry_path(path):
            return self._get_response(request)
        # A proxy may have checked `%2F` as part of one component, while Django decodes it to a slash between two.
        if "%2f" in request.META.get("RAW_URI", "").partition("?")[0].lower():
            return _encoded_slash(request)
        request.resolver_match = request.META[ROUTE] = match = match_of(path)
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return response


def match_of(path: str) -> ResolverMatch:
    """Return the view and its arguments for a path of `/v2/`."""
    return _remembered(path) if len(path) <= REMEMBERED_CHARACTERS else get_resolver(_URLS).resolve(path)


@lru_cache(maxsize=REMEMBERED_PATHS)
def _remembered(path: str) -> ResolverMatch:
    return get_resolver(_URLS).resolve(path)


def is_registry_path(path: str) -> bool:
    return path.startswith("/v2/") or path == "/v2"
