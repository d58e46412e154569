"""The `WWW-Authenticate` header: Bearer for `/v2/`, Basic for the token endpoint.

Source: Docker token authentication specification, "How to authenticate"; RFC 6750, section 3.
"""

from collections.abc import Iterable
from typing import Literal

from django.conf import settings
from django.http import HttpRequest

from acl.actions import Access
from core.api.errors import ErrorCode, RegistryError
from core.api.host import host_of
from tokens.scope import format_access

ChallengeError = Literal["insufficient_scope", "invalid_token"]


def bearer_challenge(
    request: HttpRequest,
    wanted: Iterable[Access] = (),
    error: ChallengeError | None = None,
    description: str | None = None,
) -> str:
    """Return the header's value: realm, service and scope of the token to request.

    The realm is under the configured public URL or the request's. Empty parameters stop docker's parser, so they are
    left out.
    """
    public_url = settings.REGISTRY.server.public_url
    base = public_url.rstrip("/") if public_url else f"{request.scheme}://{host_of(request)}"
    parameters = {
        "realm": f"{base}/v2/token",
        "service": settings.REGISTRY.auth.service,
        "scope": " ".join(format_access(access) for access in wanted),
        "error": error,
        "error_description": description,
    }
    return "Bearer " + ",".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items() if value)


def wrong_credentials(detail: str = "wrong account or password") -> RegistryError:
    """Return the 401 of the token endpoint, with a Basic challenge."""
    challenge = f'Basic realm="{_quotable(settings.REGISTRY.auth.realm)}"'
    # Without a detail docker prints only "unauthorized".
    return RegistryError(ErrorCode.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _quotable(value: str) -> str:
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in value)
