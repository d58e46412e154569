"""The section `users`: each entry is an account."""

from collections.abc import Iterable, Mapping, Sequence

from accounts.hashers import stored_form
from accounts.models import Account
from configuration import Configuration
from configuration.element import joined
from configuration.errors import Problem
from configuration.values import UserEntry
from provisioning.memberships import write_memberships
from provisioning.models import ImportedEntry, Section
from provisioning.target import BATCH, Target, batches, fingerprint

_FIELDS = ["name", "password", "is_superuser", "is_staff", "is_active"]


class Users(Target[UserEntry, Account]):
    """Accounts by name; a removed entry deactivates its account."""

    section = Section.USERS

    def __init__(self, configuration: Configuration) -> None:
        self._path = configuration.path
        self.entries = {entry.name: entry for entry in configuration.users or ()}

    def content(self, entry: UserEntry) -> object:
        return [
            entry.password,
            entry.is_superuser,
            entry.is_staff,
            sorted(set(entry.groups)),
            entry.is_active,
        ]

    def rows(self, ids: Iterable[int]) -> Mapping[int, Account]:
        return Account.objects.prefetch_related("groups").in_bulk(list(ids))

    def row_content(self, row: Account) -> object:
        groups = sorted(group.name for group in row.groups.all())
        return [row.name, row.password, row.is_superuser, row.is_staff, groups, row.is_active]

    def label(self, key: str, row: Account | None) -> str:
        return f"user {key}"

    def entry_label(self, entry: UserEntry) -> str:
        return f"user {entry.name}"

    def problems(self, pending: Sequence[tuple[str, UserEntry, ImportedEntry | None]]) -> list[Problem]:
        """Return the entries with the name of an account made in the admin."""
        ids: dict[str, int] = {}
        for some in batches([key for key, _, _ in pending]):
            ids |= dict(Account.objects.filter(name__in=some).values_list("name", "pk"))
        return [
            Problem(
                self._path,
                entry.line,
                joined("users", entry.name),
                "an account of this name that was made in the admin",
                "another name, or that account deleted or renamed in the admin",
            )
            for key, entry, record in pending
            if key in ids and (record is None or record.row_id != ids[key])
        ]

    def write(self, entries: Sequence[tuple[UserEntry, Account | None]]) -> list[Account]:
        accounts = [_written(entry, row or Account()) for entry, row in entries]
        new = [account for account, (_, row) in zip(accounts, entries, strict=True) if row is None]
        known = [row for _, row in entries if row is not None]
        Account.objects.bulk_create(new, batch_size=BATCH)
        Account.objects.bulk_update(known, _FIELDS, batch_size=BATCH)
        write_memberships({account.pk: entry.groups for account, (entry, _) in zip(accounts, entries, strict=True)})
        # Read again: the prefetched groups are stale.
        written = self.rows([account.pk for account in accounts])
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


def _written(entry: UserEntry, account: Account) -> Account:
    account.name = entry.name
    account.password = stored_form(entry.password)
    account.is_superuser, account.is_staff = entry.is_superuser, entry.is_staff
    account.is_active = entry.is_active
    return account
