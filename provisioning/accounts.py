"""Take accounts over from the files of other servers: a new one has the hash of the file, one that is there its own."""

from collections.abc import Iterable

from django.contrib.auth.models import Group

from accounts.hashers import stored_form
from accounts.models import Account
from provisioning.outcome import Change


def write_account(name: str, bcrypt_hash: str, *, replaces: bool) -> tuple[Account, Change | None]:
    """Return the account and what was done to it: ADDED, CHANGED, EDITED for another password that stays, None.

    Raises ValidationError for a name that no account can have.
    """
    password = stored_form(bcrypt_hash)
    account = Account.objects.filter(name=name).first()
    if account is None:
        account = Account(name=name, password=password)
        account.full_clean()
        account.save()
        return account, Change.ADDED
    if account.password == password:
        return account, None
    # A robot and an account of a provider have no password here, whatever a file says.
    if not replaces or account.is_robot or account.provider:
        return account, Change.EDITED
    account.password = password
    account.save(update_fields=["password"])
    return account, Change.CHANGED


def join_groups(account: Account, names: Iterable[str]) -> list[str]:
    """Make the account a member of these groups, which are made; return the names of those that it joined."""
    known = set(account.groups.values_list("name", flat=True))
    joined = [name for name in dict.fromkeys(names) if name not in known]
    account.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in joined))
    return joined
