"""The section `users`: each entry is an account."""

from collections.abc import Collection, Mapping, Sequence

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from accounts.hashers import stored_form
from accounts.models import Account
from configuration import Configuration
from configuration.element import joined
from configuration.errors import Problem
from configuration.values import UserEntry
from provisioning.models import ImportedEntry, Section
from provisioning.sections.section_import import BATCH, SectionImport, batches, fingerprint

_Membership = Account.groups.through


class Users(SectionImport[UserEntry, Account]):
    """Accounts by name; a removed entry deactivates its account."""

    section = Section.USERS
    rows = Account.objects.select_related("owner").prefetch_related("groups")
    fields = ("name", "password", "is_superuser", "is_staff", "is_active", "is_robot", "owner")

    def __init__(self, configuration: Configuration) -> None:
        self._path = configuration.path
        self._owners: dict[str, Group] = {}
        super().__init__({entry.name: entry for entry in configuration.users or ()})

    def content(self, entry: UserEntry) -> object:
        return [
            entry.password,
            entry.is_superuser,
            entry.is_staff,
            sorted(set(entry.groups)),
            entry.is_active,
            # Entries of persons keep the fingerprint of earlier versions.
            *([entry.owner] if entry.owner is not None else []),
        ]

    def row_content(self, row: Account) -> object:
        return account_content(row)

    def label(self, key: str, row: Account | None) -> str:
        return f"user {key}"

    def filled(self, row: Account | None, entry: UserEntry) -> Account:
        account = row or Account()
        account.name = entry.name
        if entry.owner is None:
            account.password, account.is_robot, account.owner = stored_form(entry.password), False, None
        else:
            if not account.is_robot:
                # Another value would end the tokens of a robot that there is.
                account.password = make_password(None)
            account.is_robot, account.owner = True, self._owners.get(entry.owner)
        account.is_superuser, account.is_staff = entry.is_superuser, entry.is_staff
        account.is_active = entry.is_active
        return account

    def problems(self) -> list[Problem]:
        """Return the entries with the name of an account made in the admin."""
        found = "an account of this name that was made in the admin"
        expected = "another name, or that account deleted or renamed in the admin"
        taken = self.taken("name")
        return [
            Problem(self._path, entry.line, joined("users", entry.name), found, expected)
            for key, entry in self._pending.items()
            if key in taken
        ]

    def write(self, entries: Sequence[tuple[Account | None, UserEntry]]) -> list[Account]:
        owners = {entry.owner for _, entry in entries if entry.owner is not None}
        _make_groups(owners)
        self._owners = {group.name: group for group in Group.objects.filter(name__in=owners)}
        accounts = super().write(entries)
        _write_memberships({account.pk: entry.groups for account, (_, entry) in zip(accounts, entries, strict=True)})
        # Read again: the prefetched groups are stale.
        written = self.rows.in_bulk([account.pk for account in accounts])
        return [written[account.pk] for account in accounts]

    def is_in_effect(self, row: Account) -> bool:
        return row.is_active

    def revoke(self, dropped: Sequence[tuple[ImportedEntry, Account | None]]) -> None:
        """Deactivate the accounts; the records stay, so that a returning entry owns its name."""
        active = [(record, row) for record, row in dropped if row is not None and row.is_active]
        for record, row in active:
            row.is_active = False
            record.row_fingerprint = fingerprint(self.row_content(row))
        for record, _ in dropped:
            record.fingerprint = ""
        Account.objects.bulk_update([row for _, row in active], ["is_active"], batch_size=BATCH)
        records = [record for record, _ in dropped]
        ImportedEntry.objects.bulk_update(records, ["fingerprint", "row_fingerprint"], batch_size=BATCH)


def account_content(row: Account) -> object:
    """Return the fields of an account that an administrator can edit, as JSON values."""
    groups = sorted(group.name for group in row.groups.all())
    owner = [row.owner.name if row.owner is not None else None] if row.is_robot else []
    return [row.name, row.password, row.is_superuser, row.is_staff, groups, row.is_active, *owner]


def _write_memberships(wanted: Mapping[int, Sequence[str]]) -> None:
    """Set the groups of each account by name, and create missing groups."""
    groups = _make_groups({name for listed in wanted.values() for name in listed})
    for accounts in batches(list(wanted)):
        pairs = {(account, groups[name]) for account in accounts for name in wanted[account]}
        rows = _Membership.objects.filter(account_id__in=accounts).values_list("pk", "account_id", "group_id")
        found = {(account, group): pk for pk, account, group in rows}
        for pks in batches([pk for pair, pk in found.items() if pair not in pairs]):
            _Membership.objects.filter(pk__in=pks).delete()
        new = [_Membership(account_id=account, group_id=group) for account, group in sorted(pairs - found.keys())]
        _Membership.objects.bulk_create(new, batch_size=BATCH)


def _make_groups(names: Collection[str]) -> dict[str, int]:
    """Create the groups that are missing; return the primary keys of all groups by name."""
    groups = dict(Group.objects.values_list("name", "pk"))
    new_groups = [Group(name=name) for name in sorted(names) if name not in groups]
    return groups | {group.name: group.pk for group in Group.objects.bulk_create(new_groups, batch_size=BATCH)}
