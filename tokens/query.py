"""What a token request asks for.

Source: Docker token authentication specification, "Requesting a token".
"""

from typing import NamedTuple

from django.conf import settings
from django.http import QueryDict

from acl.actions import Access
from core.api.errors import ErrorCode, RegistryError
from tokens.scope import parse_scopes


class TokenQuery(NamedTuple):
    """The parameters of a GET; `account`, if given, is the name of the credentials."""

    access: tuple[Access, ...]
    account: str | None
    is_offline: bool

    @classmethod
    def of(cls, parameters: QueryDict) -> "TokenQuery":
        """Return the parameters that are read. Raises RegistryError."""
        is_offline = parameters.get("offline_token") == "true"
        return cls(requested(parameters), parameters.get("account"), is_offline)


def requested(parameters: QueryDict) -> tuple[Access, ...]:
    """Return the requested access. Raises RegistryError, also for a token of another service."""
    service, expected = parameters.get("service"), settings.REGISTRY.auth.service
    if service is not None and service != expected:
        detail = f"this token server is for the service {expected!r}"
        raise RegistryError(ErrorCode.SERVICE_INVALID, detail, message=detail)
    return parse_scopes(parameters.getlist("scope"))
