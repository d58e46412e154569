"""Believe a reverse proxy's word on scheme, host and client, when the configuration lists that proxy."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from registry_project.configuration.values import Network

_FORWARDED = (
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PORT",
)


class TrustedProxyMiddleware:
    """Apply `X-Forwarded-Proto`, `-Host` and `-For` of a listed peer; take them off any other request.

    Everything behind reads `wsgi.url_scheme`, `Host` and `REMOTE_ADDR`: one place decides for all.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Read the list of proxies once."""
        self._get_response = get_response
        self._proxies: tuple[Network, ...] = settings.REGISTRY.server.trusted_proxies

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Rewrite the request's environment, then go on."""
        meta = request.META
        meta["REMOTE_ADDR"] = _plain(meta.get("REMOTE_ADDR", ""))
        if self._is_proxy(meta["REMOTE_ADDR"]):
            self._apply(request)
        for header in _FORWARDED:
            meta.pop(header, None)
        return self._get_response(request)

    def _apply(self, request: HttpRequest) -> None:
        meta = request.META
        scheme = _last(meta.get("HTTP_X_FORWARDED_PROTO", ""))
        if scheme in ("http", "https"):
            meta["wsgi.url_scheme"] = scheme
        host = _last(meta.get("HTTP_X_FORWARDED_HOST", ""))
        if host:
            meta["HTTP_HOST"] = host
        meta["REMOTE_ADDR"] = self._client(meta.get("HTTP_X_FORWARDED_FOR", ""), meta["REMOTE_ADDR"])

    def _client(self, forwarded: str, peer: str) -> str:
        """Return the right-most address that no listed proxy has: what stands left of it anyone may write."""
        client = peer
        for address in reversed([_plain(part.strip()) for part in forwarded.split(",") if part.strip()]):
            if not _is_address(address):
                break
            client = address
            if not self._is_proxy(address):
                break
        return client

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies or not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._proxies)


def _last(values: str) -> str:
    """Return the value that the nearest proxy added."""
    return values.rpartition(",")[2].strip()


@lru_cache(maxsize=4096)
def _plain(address: str) -> str:
    """Return an IPv4 address as itself: a socket that listens on `::` names it `::ffff:192.0.2.1`."""
    mapped = getattr(ip_address(address), "ipv4_mapped", None) if _is_address(address) else None
    return str(mapped or address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
