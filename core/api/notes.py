"""What is learnt about a request while it is answered, noted in its environment (PEP 3333) for the access log."""

from django.http import HttpRequest

ACCOUNT = "registry.account"
JTI = "registry.jti"
ROUTE = "registry.route"
REQUEST_ID = "registry.request_id"
PROBE = "registry.probe"
"""Present in the environment of a request for `/health`."""

ANONYMOUS_NAME = "anonymous"


def note_account(request: HttpRequest, name: str | None, token_id: str | None = None) -> None:
    """Note which account asks, None for nobody's, and with which token (its `jti`)."""
    request.META[ACCOUNT] = name or ANONYMOUS_NAME
    request.META[JTI] = token_id
