"""Notes for the access log in a request's WSGI environment (PEP 3333)."""

from django.http import HttpRequest

ACCOUNT = "registry.account"
JTI = "registry.jti"
ROUTE = "registry.route"
REQUEST_ID = "registry.request_id"
IS_FORWARDED = "registry.is_forwarded"
"""True in the environment if a trusted proxy names the client."""
PROBE = "registry.probe"
"""Present in the environment of a request for `/health`."""

ANONYMOUS_NAME = "anonymous"


def note_account(request: HttpRequest, name: str | None, token_id: str | None = None) -> None:
    """Note the account of a request, None for an anonymous one, and the `jti` of its token."""
    request.META[ACCOUNT] = name or ANONYMOUS_NAME
    request.META[JTI] = token_id
