"""The WSGI application."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "registry_project.settings")

_browsers = get_wsgi_application()

import registry_project.urls  # noqa: E402, F401 - loaded before the fork, so that workers share it
from core.api.host import host_of  # noqa: E402
from core.db.transactions import end_request  # noqa: E402
from registry_project.front_door import RegistryChain  # noqa: E402 - once the apps are loaded
from registry_project.short_path import ShortPath  # noqa: E402


class BrowserRequest(WSGIRequest):
    """A request for a page or the JSON API; its host may contain an underscore, as for `/v2/`."""

    def get_host(self) -> str:
        """Return host and port. Raises DisallowedHost."""
        return host_of(self)


_browsers.request_class = BrowserRequest
_registry = RegistryChain()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer `/v2/` by its own chain, everything else by Django's handler."""
    try:
        if not _registry.serves(environ):
            page: Iterable[bytes] = _browsers(environ, start_response)
            return page
        response: Any = _registry.get_response(WSGIHandler.request_class(environ))
    finally:
        # Before the response is sent: otherwise a slow client would occupy a connection of the database.
        end_request()
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    if isinstance(response, HttpResponse):
        # Never closed: `end_request` did what the listeners of its signal would do.
        return (response.content,)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](response.file_to_stream, response.block_size)
    return wrapped


# The server's worker asks it first.
application.short = ShortPath(_registry)  # type: ignore[attr-defined]
