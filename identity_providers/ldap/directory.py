"""Find a person in the directory, and the groups of that person."""

import re
from collections.abc import Iterable

from accounts.providers import LDAP
from configuration.company_login import Ldap, LdapGroups
from identity_providers.ldap.connection import Directory, DirectoryError, Entry, escape
from identity_providers.person import Person, mirrored

MAX_GROUPS = 1000
# The groups of so many groups are asked for at once.
BATCH = 50
# The key of an entry that outlives its name: OpenLDAP and 389, Active Directory, FreeIPA.
_KEYS = ("entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId")
# When a password was changed: OpenLDAP with ppolicy, Active Directory, FreeIPA.
_CHANGES = ("pwdChangedTime", "pwdLastSet", "krbLastPwdChange")
_PLACEHOLDER = re.compile(r"%\((user|dn)\)s")


class AmbiguousError(DirectoryError):
    """The filter finds several people for one name."""


def find(directory: Directory, ldap: Ldap, name: str) -> tuple[str, Person] | None:
    """Return the DN and the person of a name; None if there is nobody. Raises DirectoryError."""
    users = ldap.users
    entries = directory.search(users.base, _filled(users.filter, user=name), (users.name, *_KEYS, *_CHANGES))
    if len(entries) > 1:
        raise AmbiguousError(f"auth.ldap.users.filter finds {len(entries)} entries for one name")
    if not entries:
        return None
    (entry,) = entries
    groups = groups_of(directory, ldap.groups, entry.dn, name) if ldap.groups is not None else {}
    person = Person(
        provider=LDAP,
        name=_name(entry, users.name, name),
        subject=_first(entry, _KEYS) or entry.dn,
        credential_mark=_first(entry, _CHANGES),
        groups=mirrored(groups.values(), ldap.groups.mirror) if ldap.groups is not None else (),
        is_superuser=_is_in(groups, ldap.superuser_group),
        is_staff=_is_in(groups, ldap.staff_group),
    )
    return entry.dn, person


def groups_of(directory: Directory, groups: LdapGroups, dn: str, name: str) -> dict[str, str]:
    """Return the names of the groups of a member by DN, with the groups that these are in."""
    found: dict[str, str] = {}
    filters = [_filled(groups.filter, user=name, dn=dn)]
    # Only a DN can be a member by which a group is in another one.
    is_nested = groups.nested and "%(dn)s" in groups.filter
    while filters:
        some, filters = filters[:BATCH], filters[BATCH:]
        entries = directory.search(groups.base, f"(|{''.join(some)})", (groups.name,))
        new = {entry.dn: (entry.texts(groups.name) or [""])[0] for entry in entries if entry.dn not in found}
        found |= new
        if len(found) > MAX_GROUPS:
            raise DirectoryError(f"somebody is in more than {MAX_GROUPS} groups: narrow auth.ldap.groups.filter")
        filters += [_filled(groups.filter, user="", dn=group) for group in new] if is_nested else []
    return found


def _filled(template: str, **values: str) -> str:
    # In one pass, so that no value is read as a placeholder.
    return _PLACEHOLDER.sub(lambda match: escape(values.get(match[1], "")), template)


def _name(entry: Entry, attribute: str, typed: str) -> str:
    """Return the directory's spelling of the name: it ignores case, and accounts don't."""
    values = entry.texts(attribute)
    if not values:
        raise DirectoryError(f"{entry.dn} has no readable attribute {attribute} (auth.ldap.users.name)")
    return next((value for value in values if value.casefold() == typed.casefold()), values[0])


def _first(entry: Entry, attributes: Iterable[str]) -> str:
    return next((values[0] for values in map(entry.texts, attributes) if values), "")[:255]


def _is_in(groups: dict[str, str], wanted: str) -> bool | None:
    """Tell whether the group, a name or a DN, is among `groups`; None without one."""
    if not wanted:
        return None
    if "=" in wanted:
        return wanted.casefold() in {dn.casefold() for dn in groups}
    return wanted in groups.values()
