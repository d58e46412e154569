"""Identity providers: backends of config.yaml that know accounts whose password is not stored here.

    name of an account with a password here, or without any  ──> AccountBackend alone
    name of an account of a provider                         ──> that provider alone
    name of no account                                       ──> each provider, in the order of the file

So no provider can take over an account that was made here, nor one of another provider.
"""

import logging
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.module_loading import import_string

from accounts.models import Account
from accounts.names import ACCOUNT_NAME

LDAP, OIDC = "ldap", "oidc"
"""Values of `Account.provider`; that of any other backend is its dotted path."""

TAKEN = "login refused: %s knows the name, but it is that of an account which is not its own"
_RETRY_SECONDS = 5

logger = logging.getLogger(__name__)


class ProviderUnavailableError(Exception):
    """A provider can't be asked; `reason` is for the client, without addresses and names of servers."""

    def __init__(self, reason: str, retry_after_seconds: int = _RETRY_SECONDS) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


@cache
def backends() -> dict[str, Any]:
    """Return the backends that check passwords, by provider."""
    return {provider: import_string(path)() for provider, path in settings.PASSWORD_PROVIDERS.items()}


def cache_time() -> timedelta:
    """Return how long the answer of a provider may be remembered."""
    ldap = settings.REGISTRY.auth.ldap
    return timedelta(minutes=5) if ldap is None else ldap.cache


def knows(name: str) -> bool:
    """Tell whether a provider, and no password here, decides about a login with this name."""
    if not backends() or not ACCOUNT_NAME.fullmatch(name):
        return False
    return Account.objects.filter(name=name).values_list("provider", flat=True).first() != ""


def authenticate(account: Account | None, name: str, password: str, request: HttpRequest | None) -> Account | None:
    """Return the account for which a provider accepts the password; `account` is that of the name, if there is one.

    Raises ProviderUnavailableError if no provider accepts it and one can't be asked.
    """
    unavailable = None
    for provider, backend in backends().items():
        if account is not None and account.provider != provider:
            continue
        try:
            found = _asked(backend, provider, name, password, request)
        except PermissionDenied:
            return None
        except ProviderUnavailableError as error:
            unavailable = error
            continue
        if found is not None:
            return found
    if unavailable is not None:
        raise unavailable
    return None


def _asked(backend: Any, provider: str, name: str, password: str, request: HttpRequest | None) -> Account | None:
    # Accounts that the backend makes have higher keys.
    newest = Account.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    try:
        found = backend.authenticate(request, username=name, password=password)
    except (PermissionDenied, ProviderUnavailableError):
        raise
    except Exception as error:
        # Any backend may be configured: its fault must not be one of the local accounts.
        logger.exception("the authentication backend %s failed", provider)
        raise ProviderUnavailableError("the company login failed; the log of the registry has the reason") from error
    if not isinstance(found, Account):
        return None
    if found.provider != provider and not _is_claimed(found, provider, newest):
        logger.warning(TAKEN, provider, extra={"account": found.name})
        return None
    return found if found.is_active else None


def _is_claimed(account: Account, provider: str, newest: int) -> bool:
    """Make an account that the backend has just made one of its provider; tell whether it could be."""
    others = Account.objects.filter(name__iexact=account.name).exclude(pk=account.pk)
    is_new = account.pk > newest and not account.provider and not account.has_usable_password()
    if not is_new or others.exists() or not ACCOUNT_NAME.fullmatch(account.name):
        return False
    account.provider = provider
    account.save(update_fields=["provider"])
    return True
