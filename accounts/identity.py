"""Who somebody is, as rules see them: a name and the groups it belongs to."""

from dataclasses import dataclass, field

from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from accounts.remembered import PerEpoch


@dataclass(frozen=True, slots=True)
class Identity:
    """An account that may act, or nobody in particular (`name` is empty).

    `account_pk` tells it from another account that had the name before; 0 for nobody in particular.
    """

    name: str
    groups: frozenset[str] = frozenset()
    account_pk: int = field(default=0, compare=False)

    @property
    def is_anonymous(self) -> bool:
        """Tell whether nobody logged in."""
        return not self.name


ANONYMOUS = Identity("")

_identities: PerEpoch[Identity | None] = PerEpoch()


def identity_of(name: str, epoch: str) -> Identity | None:
    """Return the active account called `name` as it was at `epoch`; None when there is none.

    The empty name is ANONYMOUS.
    """
    if not name:
        return ANONYMOUS
    return _identities.get(epoch, name, lambda: _read(name))


def _read(name: str) -> Identity | None:
    # PostgreSQL refuses a query with a NUL, and a name that no account can have needs none.
    if not ACCOUNT_NAME.fullmatch(name):
        return None
    account = Account.objects.filter(name=name, is_active=True).first()
    if account is None:
        return None
    return Identity(account.name, frozenset(account.groups.values_list("name", flat=True)), account.pk)
