"""What is learnt about a request while it is answered, noted in its environment (PEP 3333) for the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest

if TYPE_CHECKING:
    # The server reads these keys before any app is loaded.
    from accounts.identity import Identity

ACCOUNT = "registry.account"
JTI = "registry.jti"
ROUTE = "registry.route"
REQUEST_ID = "registry.request_id"

ANONYMOUS_NAME = "anonymous"


def note_identity(request: HttpRequest, identity: Identity, token_id: str | None = None) -> None:
    """Note who asks, and with which token (its `jti`)."""
    request.META[ACCOUNT] = identity.name or ANONYMOUS_NAME
    request.META[JTI] = token_id
