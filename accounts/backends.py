"""The authentication backend for accounts in the database."""

import logging
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts import hashers, providers
from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from accounts.throttling import throttle

logger = logging.getLogger(__name__)

# The hash may be of a password that another program has truncated, so only the owner can fix it.
_TOO_LONG = (
    "login refused: the password has more than 72 bytes, and bcrypt ignores everything after byte 72; choose a "
    "password of at most 72 bytes (make its hash with `manage.py hashpassword`)"
)


class AccountBackend(ModelBackend):
    """Django's backend, with a throttle and with equal timing for unknown accounts."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Account | None:
        """Return the active account with this name and password.

        Names that have no password here are those of providers. Raises PermissionDenied while the throttle refuses:
        Django then asks no other backend; and providers.ProviderUnavailableError.
        """
        name = username if username is not None else kwargs.get(Account.USERNAME_FIELD)
        if name is None or password is None:
            return None
        account = None
        if ACCOUNT_NAME.fullmatch(name):
            if throttle.refusal(name, request):
                raise PermissionDenied
            account = Account.objects.filter(name=name).first()
            if providers.backends() and (account is None or account.provider):
                return providers.authenticate(account, name, password, request)
        if account is None or account.provider or not account.has_usable_password():
            hashers.equalize_timing(password)
            return None
        if len(password.encode("utf-8", "surrogatepass")) > hashers.MAX_PASSWORD_BYTES:
            logger.warning(_TOO_LONG, extra={"account": account.name})
        return account if account.check_password(password) and self.user_can_authenticate(account) else None
