"""The authentication backend for accounts in the database."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts import hashers, throttle
from accounts.models import Account
from accounts.names import ACCOUNT_NAME


class AccountBackend(ModelBackend):
    """Django's backend, at the same cost for unknown accounts whatever the password is made of."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Account | None:
        """Return the active account that `username` and `password` belong to.

        Raises PermissionDenied, by which Django asks no other backend, while too many failures are not forgiven.
        """
        name = username if username is not None else kwargs.get(Account.USERNAME_FIELD)
        if name is None or password is None:
            return None
        account = None
        if ACCOUNT_NAME.fullmatch(name):
            if throttle.wait_seconds(name, request):
                raise PermissionDenied
            account = Account.objects.filter(name=name).first()
        if account is None or not account.has_usable_password():
            hashers.burn(password)
            return None
        return account if account.check_password(password) and self.user_can_authenticate(account) else None
