"""`/v2/token`: issue a token for a password, a refresh token, or anonymously; `/v2/token/jwks`: the keys.

Sources: Docker token authentication specification, "Requesting a token" (GET) and "OAuth2" (POST); RFC 6749, RFC 7517.
"""

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict

from accounts.authentication import BusyError, TooManyFailuresError
from accounts.identity import ANONYMOUS, Identity, credential_hash_of
from accounts.login_log import BUSY, MALFORMED, THROTTLED, UNAVAILABLE, log_login, log_refusal
from accounts.providers import ProviderUnavailableError
from accounts.throttling.login_rate import login_rate
from core.api.body import read_whole
from core.api.errors import ErrorCode, RegistryError, quoted, unavailable
from core.api.notes import ACCOUNT
from core.api.view import RegistryView
from tokens import refresh
from tokens.access import secret
from tokens.access.store import identify
from tokens.challenge import wrong_credentials
from tokens.credentials import Credentials, MalformedCredentialsError, basic_credentials
from tokens.issue import IssuedToken, issue, issue_recorded, response_headers
from tokens.keys import ring
from tokens.query import TokenQuery, service_of
from tokens.scope import parse_scopes
from tokens.workload import login as workload

# RFC 6749, section 5.2; the code for an unavailable server is from section 4.1.2.1.
_OAUTH_CODES = {
    ErrorCode.SCOPE_INVALID: "invalid_scope",
    ErrorCode.GRANT_TYPE_UNSUPPORTED: "unsupported_grant_type",
    ErrorCode.UNAUTHORIZED: "invalid_grant",
    ErrorCode.TOOMANYREQUESTS: "temporarily_unavailable",
    ErrorCode.UNAVAILABLE: "temporarily_unavailable",
}
# Anything but printable ASCII without the double quote and the backslash.
_FORBIDDEN = re.compile(r'[^ -~]|["\\]')
OTHER_ACCOUNT = "login refused: the parameter account names another account than the Authorization header"


class TokenView(RegistryView):
    """Issue tokens; wrong credentials are 401, never 403, from which some clients don't recover."""

    malformed_code = ErrorCode.TOKEN_REQUEST_INVALID

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Apply the rate limit before the request is read."""
        if seconds := login_rate.wait_seconds(request):
            detail = f"too many token requests from this address; try again in {seconds} s"
            headers = {"Retry-After": str(seconds)}
            raise RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers=headers, message=detail)
        login_rate.count(request)
        return super().answer(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer with a token for the requested and allowed access; `tokens.short_path` answers most requests."""
        asked = TokenQuery.of(request.GET)
        credentials = _basic(request, asked.account)
        if credentials is None:
            address = request.META.get("REMOTE_ADDR", "")
            return _token_response(issue(ANONYMOUS, asked.access, address=address, service=asked.service), None)
        identity, refresh_token = _logged_in(request, credentials, request.GET, is_offline=asked.is_offline)
        issued = issue_recorded(request, identity, asked.access, "password", service=asked.service)
        return _token_response(issued, refresh_token)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer a form with a password or a refresh token."""
        form = _form(request)
        service, access = service_of(form), parse_scopes(form.getlist("scope"))
        grant_type = form.get("grant_type")
        if grant_type == "refresh_token":
            presented = form.get("refresh_token", "")
            identity = _refreshed(request, presented)
            return _token_response(
                issue_recorded(request, identity, access, "refresh token", service=service), presented
            )
        if grant_type != "password":
            # RFC 6749 has different errors for a missing and an unknown grant type.
            code = ErrorCode.GRANT_TYPE_UNSUPPORTED if grant_type else ErrorCode.TOKEN_REQUEST_INVALID
            detail = f"grant_type is {quoted(grant_type or '')}, expected password or refresh_token"
            raise RegistryError(code, detail, message=detail)
        credentials = Credentials(form.get("username", ""), form.get("password", ""))
        is_offline = form.get("access_type") == "offline"
        identity, refresh_token = _logged_in(request, credentials, form, is_offline=is_offline)
        return _token_response(issue_recorded(request, identity, access, "password", service=service), refresh_token)

    def render(self, request: HttpRequest, error: RegistryError) -> JsonResponse:
        """Return the error; a form is a request of OAuth2, whose errors have two more fields (RFC 6749, section 5.2).

        A wrong password is 401 instead of 400, because docker and containerd expect that status.
        """
        if request.method != "POST":
            return super().render(request, error)
        code = "server_error" if error.status == 500 else _OAUTH_CODES.get(error.code, "invalid_request")
        described = {"error": code, "error_description": _FORBIDDEN.sub("?", str(error.detail or error.message))}
        headers = {"Cache-Control": "no-store"} | error.headers
        return JsonResponse(error.body() | described, status=error.status, headers=headers)


class JwksView(RegistryView):
    def get(self, request: HttpRequest) -> JsonResponse:
        """Answer with the public keys as a JSON Web Key Set (RFC 7517), empty for a shared secret.

        Active, next and retiring keys: all of them verify tokens.
        """
        keys = [key.jwk for key in ring.current().by_kid.values() if key.jwk is not None]
        return JsonResponse({"keys": keys}, headers={"Cache-Control": "max-age=300"})


def _form(request: HttpRequest) -> QueryDict:
    """Return the fields of the URL-encoded form. Raises RegistryError."""
    limit = settings.REGISTRY.server.limits.form_size
    payload = read_whole(request, limit)
    if payload is None:
        message = f"a form has at most {limit} bytes here (server.limits.form_size)"
        raise RegistryError(ErrorCode.TOKEN_REQUEST_INVALID, message, status=413, message=message)
    try:
        return QueryDict(payload.decode("ascii"))
    except UnicodeDecodeError as error:
        detail = "the form is not application/x-www-form-urlencoded"
        raise RegistryError(ErrorCode.TOKEN_REQUEST_INVALID, detail, message=detail) from error


def _basic(request: HttpRequest, account: str | None) -> Credentials | None:
    """Return the credentials of the header, which are those of `account` if it is given; None for anonymous access."""
    try:
        credentials = basic_credentials(request)
    except MalformedCredentialsError as error:
        log_refusal(request, None, "basic", MALFORMED)
        raise wrong_credentials() from error
    # For anonymous access some clients send an empty name and password.
    if credentials is None or not (credentials.name or credentials.password):
        return None
    if account and account != credentials.name:
        log_refusal(request, credentials.name, "basic", OTHER_ACCOUNT)
        raise wrong_credentials()
    return credentials


def _logged_in(
    request: HttpRequest, credentials: Credentials, parameters: QueryDict, *, is_offline: bool
) -> tuple[Identity, str | None]:
    """Return the identity, and a refresh token for an offline client."""
    # Read before the password is checked: a change meanwhile ends this login too.
    credential_hash = credential_hash_of(credentials.name) if is_offline else ""
    identity = log_in(request, credentials, "password" if request.method == "POST" else "basic")
    # A refresh token would outlive the access token, and not have its limits.
    if not is_offline or identity.limit is not None:
        return identity, None
    address = request.META.get("REMOTE_ADDR", "")
    return identity, refresh.issue(identity, credential_hash, parameters.get("client_id", ""), address)


def log_in(request: HttpRequest, credentials: Credentials, grant: str) -> Identity:
    """Return the identity, and log the login with `grant`.

    Raises RegistryError: UNAUTHORIZED, UNAVAILABLE, or TOOMANYREQUESTS after too many wrong passwords.
    """
    if workload.is_presented(credentials.password):
        return workload.log_in(request, credentials)
    grant = "access_token" if secret.has_checksum(credentials.password) else grant
    try:
        identity = identify(credentials.name, credentials.password, request)
    except BusyError as error:
        log_refusal(request, credentials.name, grant, BUSY)
        raise unavailable("too many logins at once") from error
    except ProviderUnavailableError as error:
        log_refusal(request, credentials.name, grant, UNAVAILABLE)
        headers = {"Retry-After": str(error.retry_after_seconds)}
        raise RegistryError(ErrorCode.UNAVAILABLE, error.reason, headers=headers, message=error.reason) from error
    except TooManyFailuresError as error:
        log_refusal(request, credentials.name, grant, THROTTLED)
        seconds = str(error.retry_after_seconds)
        detail = f"{error.reason}; try again in {seconds} s"
        raise RegistryError(ErrorCode.TOOMANYREQUESTS, detail, headers={"Retry-After": seconds}) from error
    if identity is None:
        log_refusal(request, credentials.name, grant)
        raise wrong_credentials()
    log_login(request, identity.name, grant)
    request.META[ACCOUNT] = identity.name
    return identity


def _refreshed(request: HttpRequest, token: str) -> Identity:
    identity = refresh.redeem(token)
    if identity is None:
        log_refusal(request, None, "refresh_token", "refresh token refused")
        raise wrong_credentials("this login has ended: log in again")
    log_login(request, identity.name, "refresh_token")
    request.META[ACCOUNT] = identity.name
    return identity


def _token_response(issued: IssuedToken, refresh_token: str | None) -> HttpResponse:
    payload = issued.json(refresh_token)
    return HttpResponse(payload, headers=response_headers(payload))
