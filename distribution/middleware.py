"""Route `/v2/` before any middleware that is made for browsers: no sessions, cookies, CSRF, redirects."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_resolver

from core.api.errors import ErrorCode
from core.api.notes import ROUTE
from distribution.views.root import UnknownPathView

# Frequent paths are short. A path and its match take some 1700 bytes: the cache takes less than 2 MiB in each worker.
REMEMBERED_PATHS = 1024
REMEMBERED_CHARACTERS = 256

_URLS = "distribution.urls"
# Each upload and blob has a path of its own. Every pattern takes these last components alike, so that one of each form
# stands for all.
_FORMS = {
    f"sha256:{'0' * 64}": r"sha256:[0-9a-f]{64}",
    str(UUID(int=0)): r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
}
_ALIKE = {len(text): (re.compile(form), text) for text, form in _FORMS.items()}

_encoded_slash = UnknownPathView.as_view(
    code=ErrorCode.NAME_INVALID, detail="a slash in the path must not be percent-encoded"
)


class Match(NamedTuple):
    """The view of a path, its arguments and the name of the pattern."""

    func: Callable[..., HttpResponseBase]
    kwargs: dict[str, Any]
    url_name: str | None


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
        request.META[ROUTE] = match = match_of(path)
        response: HttpResponseBase = match.func(request, **match.kwargs)
        return response


def match_of(path: str) -> Match:
    """Return the view and its arguments for a path of `/v2/`."""
    head, _, last = path.rpartition("/")
    alike = _ALIKE.get(len(last))
    if alike is None or alike[0].fullmatch(last) is None:
        return _match_of(path)
    found = _match_of(f"{head}/{alike[1]}")
    match [*found.kwargs]:
        case ["name", argument]:
            return found._replace(kwargs={**found.kwargs, argument: last})
        case ["name"]:
            return found
    return _match_of(path)


def _match_of(path: str) -> Match:
    return _remembered(path) if len(path) <= REMEMBERED_CHARACTERS else _remembered.__wrapped__(path)


@lru_cache(maxsize=REMEMBERED_PATHS)
def _remembered(path: str) -> Match:
    found = get_resolver(_URLS).resolve(path)
    return Match(found.func, found.kwargs, found.url_name)


def is_registry_path(path: str) -> bool:
    return path.startswith("/v2/") or path == "/v2"
