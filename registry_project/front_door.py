"""The chain of `/v2/`, for the WSGI application and, as the first middleware, for Django's handler.

    WSGI application ──┬─ /v2/ ────────────────────────────> RegistryChain
                       └─ other ──> settings.MIDDLEWARE: registry_first, the browser's part
    Django's test client ─────────> settings.MIDDLEWARE: registry_first ── /v2/ ──> RegistryChain

The application calls the chain itself: Django's handler with its signals costs more than the whole chain.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from distribution.middleware import RegistryMiddleware, is_registry_path
from registry_project.middleware.proxies import TrustedProxyMiddleware
from server.listener import LISTENER, admin_listener

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# The outermost first; the last one answers every path of /v2/.
MIDDLEWARE: tuple[Callable[[GetResponse], GetResponse], ...] = (TrustedProxyMiddleware, RegistryMiddleware)


class RegistryChain:
    """The middleware and the views of `/v2/`."""

    def __init__(self) -> None:
        self._admin_listener = admin_listener(settings.REGISTRY.admin)
        self.get_response: GetResponse = _unreachable
        for middleware in reversed(MIDDLEWARE):
            self.get_response = middleware(self.get_response)

    def serves(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether the chain answers: it does for `/v2/`, except at the admin's own address."""
        if not is_registry_path(environ["PATH_INFO"]):
            return False
        return self._admin_listener is None or environ.get(LISTENER) != self._admin_listener


def registry_first(get_response: GetResponse) -> GetResponse:
    """Answer `/v2/` by its own chain, before any middleware for browsers."""
    chain = RegistryChain()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return chain.get_response(request) if chain.serves(request.META) else get_response(request)

    return middleware


def _unreachable(_request: HttpRequest) -> HttpResponseBase:
    raise AssertionError("the views of distribution answer every path of /v2/")
