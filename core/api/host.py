"""The host that a request names, which a challenge and the admin's redirects repeat: checked, never believed.

Django refuses names with an underscore, which Docker Compose and Swarm make, and an empty port; RFC 3986, section
3.2.2, has both. Everything else is as strict as Django is.
"""

import re

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import validate_host

# Nothing here can end a quoted string, a header or the host of a URL.
_HOST = re.compile(r"([a-z0-9._-]{1,255}|\[[a-f0-9]*:[a-f0-9.:]{1,45}\])(:[0-9]{0,5})?", re.ASCII | re.IGNORECASE)


_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_of(request: HttpRequest) -> str:
    """Return host and port, without a port that is empty. Raises DisallowedHost for what is none, or not ours."""
    text = _named(request)
    if not is_served(text):
        raise DisallowedHost(f"the Host header {text[:100]!a} is not served here")
    return text.removesuffix(":")


def is_served(host: str) -> bool:
    """Tell whether a host, with or without a port, is one that the registry answers to."""
    match = _HOST.fullmatch(host)
    return match is not None and validate_host(match[1].lower().removesuffix("."), settings.ALLOWED_HOSTS)


def _named(request: HttpRequest) -> str:
    host = request.META.get("HTTP_HOST")
    if host is not None:
        return str(host)
    # HTTP/1.0 knows no Host: the socket's own name does.
    name, port = request.META["SERVER_NAME"], request.get_port()
    return str(name) if port == _DEFAULT_PORTS[request.scheme or "http"] else f"{name}:{port}"
