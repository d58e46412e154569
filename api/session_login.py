"""The session of a page as credentials, with Django's check against cross-site request forgery."""

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from accounts import permissions_version, second_factor
from accounts.identity import Identity, identity_of
from accounts.models import Account


class SessionLogin(SessionAuthentication):
    """A session that has passed the second factor of its account, if it has one; others are anonymous."""

    proof = "session"
    """The credential in the audit."""

    def authenticate(self, request: Request) -> tuple[Account, Identity] | None:
        """Return the account and its identity, None without a session. Raises PermissionDenied without a CSRF token."""
        http = request._request
        account = getattr(http, "user", None)
        if not isinstance(account, Account) or not account.is_active or not second_factor.is_passed(http):
            return None
        identity = identity_of(account.name, permissions_version.current())
        if identity is None:
            return None
        self.enforce_csrf(request)
        return account, identity
