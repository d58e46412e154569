"""Keys of notes for the access log in a request's WSGI environment (PEP 3333)."""

from typing import Any, Protocol

ACCOUNT = "registry.account"
"""The account's name, ANONYMOUS_NAME for an anonymous token."""

JTI = "registry.jti"
"""The claim `jti` of the token."""

ROUTE = "registry.route"
REQUEST_ID = "registry.request_id"
IS_FORWARDED = "registry.is_forwarded"
"""True in the environment if a trusted proxy names the client."""
ADMIN_IS_OPEN = "registry.admin_is_open"
"""True in the environment of a request from where the admin is served."""
PROBE = "registry.probe"
"""Present in the environment of a request for a probe or `/metrics`."""
DRAINING = "registry.draining"
"""Present in the environment of a request to a process that was told to stop."""

ANONYMOUS_NAME = "anonymous"


class HasMeta(Protocol):
    """A request, of which only the environment is read."""

    @property
    def META(self) -> dict[str, Any]:  # noqa: N802 - Django's name
        """WSGI's environment, or the part of it that the short path has."""
        ...
