"""The section `users`: each entry is an account."""

from collections.abc import Iterable, Mapping, Sequence

from django.contrib.auth.models import Group

from accounts.hashers import stored_form
from accounts.models import Account
from registry_project.configuration import Configuration
from registry_project.configuration.element import joined
from registry_project.configuration.errors import Problem
from registry_project.configuration.values import UserEntry
from registry_project.importing.fingerprint import fingerprint
from registry_project.importing.target import Target
from registry_project.models import ImportedEntry, Section


class Users(Target[UserEntry, Account]):
    """Accounts by name. One whose entry left the file is deactivated, never deleted."""

    section = Section.USERS

    def __init__(self, configuration: Configuration) -> None:
        """Take the users of `configuration`."""
        self._path = configuration.path
        self.entries = {entry.name: entry for entry in configuration.users or ()}

    def content(self, entry: UserEntry) -> object:
        """Return everything but the name; the order of groups says nothing."""
        return [
            entry.password,
            entry.is_superuser,
            entry.is_staff,
            sorted(set(entry.groups)),
            entry.is_active,
        ]

    def rows(self, ids: Iterable[int]) -> Mapping[int, Account]:
        """Return the accounts, with their groups."""
        return Account.objects.prefetch_related("groups").in_bulk(list(ids))

    def row_content(self, row: Account) -> object:
        """Return what an administrator can edit; not the last login."""
        groups = sorted(group.name for group in row.groups.all())
        return [row.name, row.password, row.is_superuser, row.is_staff, groups, row.is_active]

    def label(self, key: str, row: Account | None) -> str:
        """Name the user as the file did."""
        return f"user {key}"

    def entry_label(self, entry: UserEntry) -> str:
        """Name the user."""
        return f"user {entry.name}"

    def problems(self, pending: Sequence[tuple[str, UserEntry, ImportedEntry | None]]) -> list[Problem]:
        """Return the entries whose name somebody else's account has."""
        ids = dict(Account.objects.filter(name__in=[key for key, _, _ in pending]).values_list("name", "pk"))
        return [
            self._clash(entry)
            for key, entry, record in pending
            if key in ids and (record is None or record.row_id != ids[key])
        ]

    def write(self, entry: UserEntry, row: Account | None) -> Account:
        """Write every field of the account; groups are made as needed."""
        account = row or Account()
        account.name = entry.name
        account.password = stored_form(entry.password)
        account.is_superuser, account.is_staff = entry.is_superuser, entry.is_staff
        account.is_active = entry.is_active
        account.save()
        account.groups.set([Group.objects.get_or_create(name=name)[0] for name in entry.groups])
        return account

    def is_in_effect(self, row: Account) -> bool:
        """Tell whether the account can log in."""
        return row.is_active

    def end(self, record: ImportedEntry, row: Account | None) -> None:
        """Deactivate the account; the record stays, so that the name stays the file's if it comes back."""
        record.fingerprint = ""
        if row is not None and row.is_active:
            row.is_active = False
            row.save(update_fields=["is_active"])
            record.row_fingerprint = fingerprint(self.row_content(row))
        record.save()

    def _clash(self, entry: UserEntry) -> Problem:
        return Problem(
            self._path,
            entry.line,
            joined("users", entry.name),
            "an account of this name that was made in the admin",
            "another name, or that account deleted or renamed in the admin",
        )
