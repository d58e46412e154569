"""Identities, to which rules apply: the name and groups of an account."""

import hashlib
from dataclasses import dataclass, field, replace

from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from core.api.notes import ANONYMOUS_NAME
from core.caches import VersionedCache

WORKLOAD_SEPARATOR = ":"
"""In the name of a workload without an account, between issuer and subject; no account's name has it."""


@dataclass(frozen=True, slots=True)
class AccessLimit:
    """An access token with its scopes, pairs of a pattern and actions; without any it limits nothing.

    `expires_at` is in seconds since 1970. With an `issuer` it is a token of that issuer in place of an access token:
    `name` is its subject, and `pk` is 0.
    """

    pk: int
    name: str
    scopes: tuple[tuple[str, frozenset[str]], ...]
    expires_at: int = field(compare=False)
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """An active account, or the anonymous identity with an empty `name`.

    `account_pk` tells a later account of the same name apart. `credential_hash` changes with account and password.
    `limit` is that of the access token by which it is known; None: by its password. `networks` are those of rules that
    contain its address; None: the address is not known.
    """

    name: str
    groups: frozenset[str] = frozenset()
    account_pk: int = field(default=0, compare=False)
    credential_hash: str = field(default="", compare=False, repr=False)
    limit: AccessLimit | None = None
    networks: frozenset[str] | None = None
    is_robot: bool = field(default=False, compare=False)

    @property
    def is_anonymous(self) -> bool:
        return not self.name

    @property
    def has_account(self) -> bool:
        """Tell whether rules about accounts apply; the name of a workload that is of a group alone has a colon."""
        return bool(self.name) and WORKLOAD_SEPARATOR not in self.name

    def limited(self, limit: AccessLimit) -> "Identity":
        """Return the identity as an access token has it."""
        return replace(self, limit=limit)


ANONYMOUS = Identity("")

_identities: VersionedCache[Identity | None] = VersionedCache(name="identities")


def identity_of(name: str, version: str) -> Identity | None:
    """Return the active account `name` at `version`, None when it is missing; ANONYMOUS for the empty name."""
    return ANONYMOUS if not name else _identities.get(version, name, lambda: _read(name))


def identity_named(name: str, version: str) -> Identity | None:
    """Return the same as `identity_of`, and ANONYMOUS for ANONYMOUS_NAME too, unless an account has that name."""
    identity = identity_of(name, version) if name else None
    return ANONYMOUS if identity is None and name == ANONYMOUS_NAME else identity


def _read(name: str) -> Identity | None:
    # PostgreSQL refuses a query with a NUL.
    if not ACCOUNT_NAME.fullmatch(name):
        return None
    account = Account.objects.filter(name=name, is_active=True).first()
    # Nobody answers for a robot whose owner was deleted.
    if account is None or (account.is_robot and account.owner_id is None):
        return None
    groups = frozenset(account.groups.values_list("name", flat=True))
    credential_hash = _credential_hash(account.pk, account.password)
    return Identity(account.name, groups, account.pk, credential_hash, is_robot=account.is_robot)


def credential_hash_of(name: str) -> str:
    """Return a hash that changes with the account and its password; "" when the account is missing."""
    known = Account.objects.filter(name=name) if ACCOUNT_NAME.fullmatch(name) else Account.objects.none()
    found = known.values_list("pk", "password").first()
    return _credential_hash(*found) if found else ""


def _credential_hash(pk: int, password: str) -> str:
    # `password` is a salted hash: this hash allows no guess at the password itself.
    return hashlib.sha256(f"{pk} {password}".encode("utf-8", "surrogatepass")).hexdigest()
