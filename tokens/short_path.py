"""The short path of a token for a password that this process has checked before, or for nobody.

It does what `TokenView.get` does then, without HttpRequest and HttpResponse, in one statement.
"""

from functools import lru_cache
from typing import IO, Any, NamedTuple

from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from accounts import permissions_version
from accounts.authentication import remembered
from accounts.identity import ANONYMOUS
from accounts.login_log import log_login
from accounts.throttling.login_rate import login_rate
from core.api.errors import RegistryError
from core.api.notes import ACCOUNT
from tokens.credentials import MalformedCredentialsError, basic_credentials
from tokens.issue import issue, issue_recorded, response_headers
from tokens.query import TokenQuery

# A client repeats its queries; a longer one has many scopes.
REMEMBERED_CHARACTERS = 1024


class TokenAnswer(NamedTuple):
    """A response with a token."""

    status: int
    headers: dict[str, str]
    payload: bytes
    file: IO[bytes] | None = None


class _Request:
    __slots__ = ("META",)

    def __init__(self, meta: dict[str, Any]) -> None:
        self.META = meta


def answer(meta: dict[str, Any], query: str) -> TokenAnswer | None:
    """Return the token for a GET with this query; None leaves it to the view, and nothing was done.

    Raises RegistryError, and django.db.Error before anything was done.
    """
    request = _Request(meta)
    asked = _asked(query) if len(query) <= REMEMBERED_CHARACTERS else None
    if asked is None or asked.is_offline or login_rate.wait_seconds(request):
        return None
    try:
        credentials = basic_credentials(request)
    except MalformedCredentialsError:
        return None
    version = permissions_version.current()
    if credentials is None or not (credentials.name or credentials.password):
        login_rate.count(request)
        address = meta.get("REMOTE_ADDR", "")
        return _token(issue(ANONYMOUS, asked.access, version, address=address, service=asked.service).json())
    if asked.account and asked.account != credentials.name:
        return None
    identity = remembered(credentials.name, credentials.password, request, version)
    if identity is None:
        return None
    login_rate.count(request)
    log_login(request, identity.name, "basic")
    meta[ACCOUNT] = identity.name
    return _token(issue_recorded(request, identity, asked.access, "password", version, service=asked.service).json())


def _token(payload: bytes) -> TokenAnswer:
    return TokenAnswer(200, response_headers(payload), payload)


@lru_cache(maxsize=1024)
def _asked(query: str) -> TokenQuery | None:
    """Return the parameters, None for a query that the view refuses."""
    try:
        return TokenQuery.of(QueryDict(query))
    except (RegistryError, SuspiciousOperation):
        return None
