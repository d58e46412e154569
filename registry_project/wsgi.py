"""The WSGI application."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "registry_project.settings")

_browsers = get_wsgi_application()

import registry_project.urls  # noqa: E402, F401 - loaded before the fork, so that workers share it
from core.db.transactions import end_request  # noqa: E402
from registry_project.front_door import RegistryChain  # noqa: E402 - once the apps are loaded
from registry_project.request import BrowserRequest  # noqa: E402

_browsers.request_class = BrowserRequest
_registry = RegistryChain()


def _answer_of(handler: Callable[..., Any], *args: object) -> Any:
    """Call the handler, then release the database connection: sending to a slow client must not hold it."""
    try:
        return handler(*args)
    finally:
        end_request()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer `/v2/` by its own chain, everything else by Django's handler."""
    if not _registry.serves(environ):
        page: Iterable[bytes] = _answer_of(_browsers, environ, start_response)
        return page
    response = _answer_of(_registry, WSGIHandler.request_class(environ))
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    if isinstance(response, HttpResponse):
        # Never closed: `end_request` did what the listeners of its signal would do.
        return (response.content,)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](response.file_to_stream, response.block_size)
    return wrapped
