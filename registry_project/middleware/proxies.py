"""Take scheme, host and client address from the headers of a trusted reverse proxy."""

import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from configuration.values import Network
from core.api.host import is_served
from core.api.notes import IS_FORWARDED, REQUEST_ID
from core.forwarded import HEADER, X_FORWARDED_FOR, X_HEADERS, claim_of, listed_in, plain_address
from core.hourly import Hourly
from registry_project import health

logger = logging.getLogger(__name__)

CLIENT_IS_UNKNOWN = "registry.client_is_unknown"
"""True in the environment if the proxy names no client or contradicts itself; REMOTE_ADDR is then the proxy's."""

_NO_VIEW_READS = (HEADER, *X_HEADERS, "HTTP_X_FORWARDED_PORT")
# The longest DNS name; a longer host is cut, since hosts are cached.
MAX_HOST_CHARACTERS = 255
_REQUEST_ID = re.compile(r"[0-9A-Za-z._:/+=@-]{1,128}")

_WARNS_UNLISTED = Hourly()
_WARNS_CONTRADICTION = Hourly()
_WARNS_HOST = Hourly()
_WARNS_SCHEME = Hourly()
_WARNS_HTTP_1_0 = Hourly()


class TrustedProxyMiddleware:
    """Apply `Forwarded` and `X-Forwarded-…` of a trusted proxy; ignore those of other peers.

    Later code reads only `wsgi.url_scheme`, `Host` and `REMOTE_ADDR`. A well-formed `X-Request-Id` is kept whoever
    sends it: it names the request in logs, and decides nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._proxies: tuple[Network, ...] = settings.REGISTRY.server.trusted_proxies
        self._is_proxy = listed_in(self._proxies)
        self._is_public = settings.REGISTRY.server.public_url is not None
        self._is_served = lru_cache(maxsize=4096)(is_served)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Rewrite the environment and pass the request on."""
        self.apply(request.META)
        return self._get_response(request)

    def apply(self, meta: dict[str, Any]) -> None:
        """Rewrite an environment, of which only the fields named here are read."""
        peer = meta["REMOTE_ADDR"] = plain_address(meta.get("REMOTE_ADDR", ""))
        is_trusted = bool(self._proxies) and self._is_proxy(peer)
        if is_trusted:
            self._believe(meta, peer)
        request_id = meta.get("HTTP_X_REQUEST_ID")
        if request_id is not None and _REQUEST_ID.fullmatch(request_id):
            meta[REQUEST_ID] = request_id
        for header in _NO_VIEW_READS:
            if meta.pop(header, None) is not None and not is_trusted:
                _warn_of_unlisted(header, peer)
        # HTTP/1.0 needs no Host.
        host = meta.get("HTTP_HOST", "")[:MAX_HOST_CHARACTERS]
        if self._is_public and host and not self._is_served(host):
            _warn_of_host(meta, peer)

    def _believe(self, meta: dict[str, Any], peer: str) -> None:
        claim = claim_of(meta, peer, self._is_proxy)
        meta["wsgi.url_scheme"] = claim.scheme or meta["wsgi.url_scheme"]
        if claim.host:
            meta["HTTP_HOST"] = claim.host
        if claim.scheme is None and not self._is_public and "scheme" not in claim.disputed:
            _warn_of_scheme(meta, peer)
        # The short path has no protocol: its requests are of HTTP/1.1.
        if meta.get("SERVER_PROTOCOL") == "HTTP/1.0":
            _warn_of_http_1_0(meta, peer)
        # Limits count an unknown client under the proxy's address; allowed_networks must not (CLIENT_IS_UNKNOWN).
        meta["REMOTE_ADDR"] = claim.client or peer
        meta[CLIENT_IS_UNKNOWN] = claim.client is None
        meta[IS_FORWARDED] = claim.client is not None and (HEADER in meta or X_FORWARDED_FOR in meta)
        if claim.disputed:
            _warn_of_contradiction(peer, claim.disputed)


def _warn_of_unlisted(header: str, peer: str) -> None:
    if _WARNS_UNLISTED.is_due():
        logger.warning(
            "%s of %s is ignored, since server.trusted_proxies does not list that address. Any client can send this "
            "header: list the address only if it is your reverse proxy's and no client has it",
            header.removeprefix("HTTP_").replace("_", "-").title(),
            peer,
        )


def _warn_of_contradiction(peer: str, disputed: Sequence[str]) -> None:
    if _WARNS_CONTRADICTION.is_due():
        logger.warning(
            "the proxy %s of server.trusted_proxies sends Forwarded and X-Forwarded-…, and they contradict each other "
            "about the %s, so neither counts: configure it to remove the header that it does not set",
            peer,
            " and the ".join(disputed),
        )


def _warn_of_host(meta: dict[str, Any], peer: str) -> None:
    """Warn about an unexpected host, except in probes, which use the address of a pod."""
    if meta["PATH_INFO"] not in health.PATHS and _WARNS_HOST.is_due():
        logger.warning(
            "%s asked for the host %r, which is not that of server.public_url, %s. If it is your reverse proxy, let it "
            "pass on Host, or set X-Forwarded-Host and list it in server.trusted_proxies; otherwise "
            "correct server.public_url",
            peer,
            meta["HTTP_HOST"][:MAX_HOST_CHARACTERS],
            settings.REGISTRY.server.public_url,
        )


def _warn_of_scheme(meta: dict[str, Any], peer: str) -> None:
    if meta["PATH_INFO"] not in health.PATHS and _WARNS_SCHEME.is_due():
        logger.warning(
            "the proxy %s of server.trusted_proxies doesn't say whether clients use http or https, so they are sent to "
            "%s:// for a token. Let it set X-Forwarded-Proto, or set server.public_url",
            peer,
            meta["wsgi.url_scheme"],
        )


def _warn_of_http_1_0(meta: dict[str, Any], peer: str) -> None:
    if meta["PATH_INFO"] not in health.PATHS and _WARNS_HTTP_1_0.is_due():
        logger.warning(
            "the proxy %s of server.trusted_proxies speaks HTTP/1.0: it receives a whole layer before it sends any of "
            "it, and opens a connection for each request. Let it speak HTTP/1.1 (nginx: proxy_http_version 1.1)",
            peer,
        )
