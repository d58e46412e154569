"""Validate the Host header, which challenges and the admin's redirects repeat.

Django refuses names with an underscore, which Docker Compose and Swarm create, and an empty port; RFC 3986, section
3.2.2, allows both. Everything else is as strict as in Django.
"""

import re

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import validate_host

# Allows no character that could end a quoted string, a header field or the host of a URL.
_HOST = re.compile(r"([a-z0-9._-]{1,255}|\[[a-f0-9]*:[a-f0-9.:]{1,45}\])(:[0-9]{0,5})?", re.ASCII | re.IGNORECASE)

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_of(request: HttpRequest) -> str:
    """Return host and port, without an empty port. Raises DisallowedHost for a malformed or foreign host."""
    text = request.META.get("HTTP_HOST")
    if text is None:
        # HTTP/1.0 has no Host: the socket's own name instead.
        name, port = str(request.META["SERVER_NAME"]), request.get_port()
        text = name if port == _DEFAULT_PORTS[request.scheme or "http"] else f"{name}:{port}"
    if not is_served(text):
        raise DisallowedHost(f"the Host header {text[:100]!a} is not served here")
    return text.removesuffix(":")


def is_served(host: str) -> bool:
    """Return whether a host, with or without a port, is one of the registry's."""
    match = _HOST.fullmatch(host)
    return match is not None and validate_host(match[1].lower().removesuffix("."), settings.ALLOWED_HOSTS)
