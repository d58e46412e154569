"""The authentication backend of the directory."""

import logging
import secrets
import time
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest

from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from accounts.providers import ProviderUnavailableError
from accounts.throttling import throttle
from configuration.company_login import Ldap
from identity_providers.adoption import adopt
from identity_providers.ldap.connection import DirectoryError, ServerLostError, connected
from identity_providers.ldap.directory import find
from identity_providers.person import Person

RETRY_SECONDS = 5
UNAVAILABLE = "the company directory can't be asked; try again later"

logger = logging.getLogger(__name__)


class DirectoryBackend:
    """Checks a password by a bind as the person; see `accounts.providers`, which asks it.

    After a failure the directory is not asked for RETRY_SECONDS: each try may wait as long as its timeouts allow.
    """

    def __init__(self) -> None:
        self._is_away_until = 0.0

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_kwargs: Any
    ) -> Account | None:
        """Return the account of the person with this name and password. Raises ProviderUnavailableError."""
        # The grammar has no character that means something in a filter; the filter escapes all the same.
        if not username or not password or not ACCOUNT_NAME.fullmatch(username):
            return None
        ldap = cast(Ldap, settings.REGISTRY.auth.ldap)
        if (seconds := self._is_away_until - time.monotonic()) > 0:
            raise ProviderUnavailableError(UNAVAILABLE, max(1, round(seconds)))
        try:
            try:
                person = _checked(ldap, username, password, request)
            except ServerLostError:
                # Another server is asked from the beginning.
                if len(ldap.url) == 1:
                    raise
                person = _checked(ldap, username, password, request)
        except DirectoryError as error:
            self._is_away_until = time.monotonic() + RETRY_SECONDS
            logger.warning("the directory (auth.ldap) can't be asked", extra={"reason": str(error)})
            raise ProviderUnavailableError(UNAVAILABLE, RETRY_SECONDS) from error
        return adopt(person, ldap.groups.mirror if ldap.groups else ()) if person is not None else None


def _checked(ldap: Ldap, name: str, password: str, request: HttpRequest | None) -> Person | None:
    """Return the person if the password is right."""
    with connected(ldap) as directory:
        found = find(directory, ldap, name)
        if found is None:
            # A bind takes time, which must not tell who is in the directory.
            directory.accepts(f"cn={secrets.token_hex(8)},{ldap.users.base}", password)
            return None
        dn, person = found
        is_other_spelling = person.name != name
        # Otherwise each spelling of a name would have tries of its own.
        if is_other_spelling and throttle.refusal(person.name, request):
            return None
        if directory.accepts(dn, password):
            return person
    if is_other_spelling:
        throttle.count_failure(person.name, request)
    return None
