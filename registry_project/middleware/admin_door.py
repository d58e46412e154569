"""Restrict the admin to its listener and to allowed networks; other requests are 404.

    listener of the connection, address of the client ──> URL configuration ──> resolver, static files

The listener is the socket that accepted the connection, which no header can claim.
"""

import logging
from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import Http404, HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

from configuration.values import Network
from core.api.notes import ADMIN_IS_OPEN
from core.forwarded import listed_in
from distribution.middleware import is_registry_path
from registry_project.front_door import GetResponse
from registry_project.middleware.proxies import CLIENT_IS_UNKNOWN
from server.listener import LISTENER, admin_listener

PREFIX = "/admin/"
_PAGE_FILES = "/static/web/"

logger = logging.getLogger(__name__)


class AdminDoorMiddleware:
    """Select the URL configuration of a request."""

    def __init__(self, get_response: GetResponse) -> None:
        from registry_project import urls

        self._get_response = get_response
        self._admin = settings.REGISTRY.admin
        self._own_listener = admin_listener(self._admin)
        self._networks: tuple[Network, ...] = self._admin.allowed_networks
        self._is_allowed = listed_in(self._networks)
        has_pages = settings.REGISTRY.pages.is_enabled
        # Each of the two addresses may be https without the other.
        self._is_https = (settings.PAGES_ARE_HTTPS, settings.SESSION_COOKIE_SECURE)
        self._urls: dict[tuple[bool, bool], Any] = {
            (True, True): None if has_pages else (*urls.ADMIN_ALONE, *urls.API),
            (True, False): urls.ADMIN_ALONE,
            (False, True): urls.OPEN if has_pages else urls.API,
            (False, False): (),
        }

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_own = self._own_listener is not None and request.META.get(LISTENER) == self._own_listener
        is_open = self._is_open(request, is_own=is_own)
        request.META[ADMIN_IS_OPEN] = is_open
        urls = self._urls[is_open, not is_own]
        if urls is not None:
            request.urlconf = urls
        if is_registry_path(request.path_info):
            # The admin's own address, since `registry_first` answers at every other one.
            raise Http404
        response: Any = self._get_response(request)
        for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, CookieStorage.cookie_name):
            if name in response.cookies:
                response.cookies[name]["secure"] = self._is_https[is_own]
        answer: HttpResponseBase = response
        return answer

    def _is_open(self, request: HttpRequest, *, is_own: bool) -> bool:
        if not self._admin.is_enabled or is_own != (self._own_listener is not None):
            return False
        if not self._networks:
            return True
        client, is_unknown = request.META["REMOTE_ADDR"], request.META.get(CLIENT_IS_UNKNOWN, False)
        is_allowed = not is_unknown and self._is_allowed(client)
        if not is_allowed and request.path_info.startswith(PREFIX):
            reason = "the proxy names no client, or two" if is_unknown else "it does not list the client"
            logger.warning("admin refused by admin.allowed_networks: %s", reason, extra={"client": client})
        return is_allowed


def static_files(get_response: GetResponse) -> GetResponse:
    """Serve the static files of the pages, and those of the admin wherever the admin is open."""
    files: GetResponse = WhiteNoiseMiddleware(get_response)  # type: ignore[no-untyped-call]

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_served = request.META.get(ADMIN_IS_OPEN) or request.path_info.startswith(_PAGE_FILES)
        return files(request) if is_served else get_response(request)

    return middleware
