"""Who somebody is, as rules see them: a name and the groups it belongs to."""

import hashlib
from dataclasses import dataclass, field

from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from core.caches import VersionedCache


@dataclass(frozen=True, slots=True)
class Identity:
    """An account that may act, or nobody in particular (`name` is empty).

    `account_pk` tells it from another account that had the name before; 0 for nobody in particular. `credential`
    changes with the account and its password, and is empty for nobody in particular.
    """

    name: str
    groups: frozenset[str] = frozenset()
    account_pk: int = field(default=0, compare=False)
    credential_hash: str = field(default="", compare=False, repr=False)

    @property
    def is_anonymous(self) -> bool:
        """Tell whether nobody logged in."""
        return not self.name


ANONYMOUS = Identity("")

_identities: VersionedCache[Identity | None] = VersionedCache()


def identity_of(name: str, version: str) -> Identity | None:
    """Return the active account called `name` as it was at `version`; None when there is none.

    The empty name is ANONYMOUS.
    """
    if not name:
        return ANONYMOUS
    return _identities.get(version, name, lambda: _read(name))


def _read(name: str) -> Identity | None:
    # PostgreSQL refuses a query with a NUL, and a name that no account can have needs none.
    if not ACCOUNT_NAME.fullmatch(name):
        return None
    account = Account.objects.filter(name=name, is_active=True).first()
    if account is None:
        return None
    groups = frozenset(account.groups.values_list("name", flat=True))
    return Identity(account.name, groups, account.pk, _credential_hash(account.pk, account.password))


def credential_hash_of(name: str) -> str:
    """Return what changes with the account's password, and with the account that has the name; "" without one."""
    known = Account.objects.filter(name=name) if ACCOUNT_NAME.fullmatch(name) else Account.objects.none()
    found = known.values_list("pk", "password").first()
    return _credential_hash(*found) if found else ""


def _credential_hash(pk: int, password: str) -> str:
    # Of a hash with a random salt: nobody can guess the password by it.
    return hashlib.sha256(f"{pk} {password}".encode("utf-8", "surrogatepass")).hexdigest()
