"""What a token request asks for.

Source: Docker token authentication specification, "Requesting a token".
"""

from typing import NamedTuple

from django.conf import settings
from django.http import QueryDict

from acl.actions import Access
from configuration.identities import TokenService
from core.api.errors import ErrorCode, RegistryError
from tokens.scope import parse_scopes


class TokenQuery(NamedTuple):
    """The parameters of a GET; `account`, if given, is the name of the credentials.

    `service` is another registry for which the token is, None: this one.
    """

    access: tuple[Access, ...]
    account: str | None
    is_offline: bool
    service: TokenService | None

    @classmethod
    def of(cls, parameters: QueryDict) -> "TokenQuery":
        """Return the parameters that are read. Raises RegistryError."""
        is_offline = parameters.get("offline_token") == "true"
        service = service_of(parameters)
        access = parse_scopes(parameters.getlist("scope"))
        return cls(access, parameters.get("account"), is_offline, service)


def service_of(parameters: QueryDict) -> TokenService | None:
    """Return the other registry for which a token is requested, None: this one. Raises RegistryError for any other."""
    wanted, auth = parameters.get("service"), settings.REGISTRY.auth
    if wanted is None or wanted == auth.service:
        return None
    for service in auth.services:
        if service.name == wanted:
            return service
    detail = f"this token server is for the service {auth.service!r}"
    raise RegistryError(ErrorCode.SERVICE_INVALID, detail, message=detail)
