"""Notes for the access log in a request's WSGI environment (PEP 3333)."""

from django.http import HttpRequest

ACCOUNT = "registry.account"
JTI = "registry.jti"
ROUTE = "registry.route"
REQUEST_ID = "registry.request_id"
PROBE = "registry.probe"
"""Present in the environment of a request for a probe, as `/health`."""
DRAINING = "registry.draining"
"""Present in the environment of a request to a process that was told to stop."""

ANONYMOUS_NAME = "anonymous"


def note_account(request: HttpRequest, name: str | None, token_id: str | None = None) -> None:
    """Note the account of a request, None for an anonymous one, and the `jti` of its token."""
    request.META[ACCOUNT] = name or ANONYMOUS_NAME
    request.META[JTI] = token_id
