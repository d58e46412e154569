"""The chain of `/v2/`, for the WSGI application and, as the first middleware, for Django's handler.

    WSGI application ──┬─ /v2/ ────────────────────────────> RegistryChain
                       └─ other ──> settings.MIDDLEWARE: RegistryFirstMiddleware, the browser's part
    Django's test client ─────────> settings.MIDDLEWARE: RegistryFirstMiddleware ── /v2/ ──> RegistryChain

The application calls the chain itself, since each link of Django's and its signals cost more than the chain.
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
        self._get_response: GetResponse = _unreachable
        for middleware in reversed(MIDDLEWARE):
            self._get_response = middleware(self._get_response)

    def serves(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether the chain answers: it does for `/v2/`, but not at an address of the admin's own."""
        if not is_registry_path(environ["PATH_INFO"]):
            return False
        return self._admin_listener is None or environ.get(LISTENER) != self._admin_listener

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request that the chain `serves`."""
        return self._get_response(request)


class RegistryFirstMiddleware:
    """Answer `/v2/` by its own chain, before any middleware for browsers."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._registry = RegistryChain()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or go on."""
        return self._registry(request) if self._registry.serves(request.META) else self._get_response(request)


def _unreachable(_request: HttpRequest) -> HttpResponseBase:
    raise AssertionError("the views of distribution answer every path of /v2/")
