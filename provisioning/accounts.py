"""Take accounts over from the files of other servers: a new one has the hash of the file, one that is there its own."""

from collections.abc import Iterable
from pathlib import Path

from django.contrib.auth.models import Group

from accounts.hashers import stored_form
from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from configuration import converters as read
from configuration.element import Reading, Refused
from provisioning.outcome import Change

_READING = Reading(None, Path(), {})


def name_problem(name: str) -> str:
    """Return why no account can be called so, "" if one can."""
    if ACCOUNT_NAME.fullmatch(name) is not None:
        return ""
    return (
        "a name of at most 128 letters, digits and . _ @ + $ - is needed, with a letter or digit first: rename it there"
    )


def password_problem(bcrypt_hash: str) -> str:
    """Return why the hash can't be taken over, "" if it can."""
    try:
        read.PASSWORD.convert(bcrypt_hash, _READING)
    except Refused as refused:
        return f"its password is not {refused.expected}"
    return ""


def is_group_name(name: str) -> bool:
    """Tell whether a group can be called so in a configuration file."""
    try:
        read.GROUP.convert(name, _READING)
    except Refused:
        return False
    return True


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
