"""OAuth2 errors of `POST /v2/token`, beside the `errors` that docker and oras print.

Source: RFC 6749, section 5.2; the codes for an unavailable server are from section 4.1.2.1. A wrong password is 401
instead of 400, because docker and containerd expect that status.
"""

import re

from django.http import JsonResponse

from core.api.errors import ErrorCode, RegistryError

_BY_CODE = {
    ErrorCode.SCOPE_INVALID: "invalid_scope",
    ErrorCode.GRANT_TYPE_UNSUPPORTED: "unsupported_grant_type",
    ErrorCode.UNAUTHORIZED: "invalid_grant",
    ErrorCode.TOOMANYREQUESTS: "temporarily_unavailable",
    ErrorCode.UNAVAILABLE: "temporarily_unavailable",
}
# Anything but printable ASCII without the double quote and the backslash.
_FORBIDDEN = re.compile(r'[^ -~]|["\\]')


def oauth_error_response(error: RegistryError) -> JsonResponse:
    """Return the error with `error` and `error_description`."""
    code = "server_error" if error.status == 500 else _BY_CODE.get(error.code, "invalid_request")
    described = {"error": code, "error_description": _FORBIDDEN.sub("?", str(error.detail or error.message))}
    headers = {"Cache-Control": "no-store"} | error.headers
    return JsonResponse(error.body() | described, status=error.status, headers=headers)
