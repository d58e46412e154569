"""The WSGI application that gunicorn's workers run."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "registry_project.settings")

_browsers = get_wsgi_application()

import registry_project.urls  # noqa: E402, F401 - before the workers are forked, which share it
from core.db.transactions import end_request  # noqa: E402
from distribution.middleware import RegistryMiddleware, is_registry_path  # noqa: E402 - once the apps are loaded
from registry_project.middleware.proxies import TrustedProxyMiddleware  # noqa: E402
from registry_project.request import BrowserRequest  # noqa: E402
from server.listener import LISTENER, admin_listener  # noqa: E402

_browsers.request_class = BrowserRequest
_admin_listener = admin_listener(settings.REGISTRY.admin)


def _unreachable(_request: HttpRequest) -> HttpResponseBase:
    raise AssertionError("the gate answers every path of /v2/")


# What settings.MIDDLEWARE begins with, for these paths: each link of Django's chain, and its signals, cost more.
_registry = TrustedProxyMiddleware(RegistryMiddleware(_unreachable))


def _is_at_admins_address(environ: dict[str, Any]) -> bool:
    return _admin_listener is not None and environ.get(LISTENER) == _admin_listener


def _answer_of(handler: Callable[..., Any], *args: object) -> Any:
    """Return the answer, whose bytes are still to go out: a slow client must not hold the database's connection."""
    try:
        return handler(*args)
    finally:
        end_request()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request: `/v2/` straight, everything else as Django does."""
    if not is_registry_path(environ["PATH_INFO"]) or _is_at_admins_address(environ):
        page: Iterable[bytes] = _answer_of(_browsers, environ, start_response)
        return page
    response = _answer_of(_registry, WSGIHandler.request_class(environ))
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    if isinstance(response, HttpResponse):
        # Without the response's own close and the signal it sends, whose listeners `end_request` stands for.
        return (response.content,)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](response.file_to_stream, response.block_size)
    return wrapped
