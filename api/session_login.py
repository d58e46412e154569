"""The session of a page as credentials, with Django's check against cross-site request forgery."""

from typing import cast

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from accounts import permissions_version
from accounts.identity import Identity
from accounts.models import Account
from web.visitor import identity_of_session


class SessionLogin(SessionAuthentication):
    """A session that has passed the second factor of its account, if it has one; others are anonymous."""

    proof = "session"
    """The credential in the audit."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        """Return the account and its identity, None without a session. Raises PermissionDenied without a CSRF token."""
        http = request._request
        identity = identity_of_session(http, permissions_version.current())
        if identity is None:
            return None
        self.enforce_csrf(request)
        return cast(Account, http.user), identity
