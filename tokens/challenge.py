"""The `WWW-Authenticate` header: realm, service and scope of the token to request.

Source: Docker token authentication specification, "How to authenticate"; RFC 6750, section 3.
"""

from collections.abc import Iterable
from typing import Literal

from django.conf import settings
from django.http import HttpRequest

from acl.actions import Access
from core.api.host import host_of
from tokens.scope import format_access

ChallengeError = Literal["insufficient_scope", "invalid_token"]


def bearer_challenge(
    request: HttpRequest,
    wanted: Iterable[Access] = (),
    error: ChallengeError | None = None,
    description: str | None = None,
) -> str:
    """Return the header's value, without empty parameters, which stop docker's parser."""
    parameters = {
        "realm": realm(request),
        "service": settings.REGISTRY.auth.service,
        "scope": " ".join(format_access(access) for access in wanted),
        "error": error,
        "error_description": description,
    }
    return "Bearer " + ",".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items() if value)


def basic_challenge() -> str:
    """Return the Basic challenge of the token endpoint."""
    return f'Basic realm="{_quotable(settings.REGISTRY.auth.realm)}"'


def realm(request: HttpRequest) -> str:
    """Return the absolute URL of the token endpoint, under the configured public URL or the request's."""
    public_url = settings.REGISTRY.server.public_url
    base = public_url.rstrip("/") if public_url else f"{request.scheme}://{host_of(request)}"
    return f"{base}/v2/token"


def _quotable(value: str) -> str:
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in value)
