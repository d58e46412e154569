"""`manage.py checklogin [NAME]`: what the company login finds, without a password."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from accounts.models import Account
from accounts.names import ACCOUNT_NAME
from configuration.company_login import Ldap, Oidc
from core.command_errors import explained
from identity_providers.ldap.connection import Directory, DirectoryError, connected
from identity_providers.ldap.directory import find, groups_of
from identity_providers.oidc.client import ProviderError, read_provider
from identity_providers.person import Person


class Command(BaseCommand):
    """Try the providers of the configuration, and say what each finds."""

    requires_migrations_checks = True
    help = (
        "Try auth.ldap, auth.oidc and auth.backends: connection, certificate, bind, bases; for a NAME also its entry, "
        "its groups and the account that it becomes. No password is asked for, and nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?", help="the name of a person in the directory")
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each finding. Raises CommandError for the first fault of a provider, after all are tried."""
        auth = settings.REGISTRY.auth
        if auth.ldap is None and auth.oidc is None and not auth.backends:
            raise CommandError("The configuration has none of auth.ldap, auth.oidc and auth.backends.")
        faults = []
        with explained():
            try:
                if auth.ldap is not None:
                    self._try_directory(auth.ldap, options["name"])
            except DirectoryError as error:
                faults.append(f"auth.ldap: {error}")
            try:
                if auth.oidc is not None:
                    self._try_oidc(auth.oidc)
            except ProviderError as error:
                faults.append(f"auth.oidc: {error}")
            for path in auth.backends:
                try:
                    self.stdout.write(f"auth.backends: {path}: {_asked_for(import_string(path)())}")
                except Exception as error:  # noqa: BLE001 - whatever the class of a company raises
                    faults.append(f"auth.backends: {path}: {type(error).__name__}: {error}")
        if faults:
            raise CommandError("\n".join(faults))

    def _try_directory(self, ldap: Ldap, name: str | None) -> None:
        with connected(ldap) as directory:
            who = ldap.bind_dn or "anonymous"
            self.stdout.write(f"auth.ldap: {directory.url}: bound as {who}")
            if name is not None:
                self._show(directory, ldap, name)
                return
            for base in filter(None, (ldap.users.base, ldap.groups.base if ldap.groups else "")):
                # A name that nobody has: the search only tells whether the base is there.
                directory.search(base, "(objectClass=registry-checklogin)", ("objectClass",))
                self.stdout.write(f"auth.ldap: {base}: is there")

    def _show(self, directory: Directory, ldap: Ldap, name: str) -> None:
        found = find(directory, ldap, name) if ACCOUNT_NAME.fullmatch(name) else None
        if found is None:
            raise DirectoryError(f"auth.ldap.users finds nobody for {name!a} below {ldap.users.base}")
        dn, person = found
        self.stdout.write(f"entry: {dn}")
        groups = groups_of(directory, ldap.groups, dn, name) if ldap.groups is not None else {}
        for group, group_name in sorted(groups.items()):
            taken = "taken over" if group_name in person.groups else "not in auth.ldap.groups.mirror"
            self.stdout.write(f"group: {group}: {taken}")
        for power, has in (("superuser", person.is_superuser), ("staff", person.is_staff)):
            if has:
                self.stdout.write(f"becomes: {power}")
        self.stdout.write(f"account: {person.name}: {_outlook(person)}")

    def _try_oidc(self, oidc: Oidc) -> None:
        app = read_provider(oidc)
        algorithms = ", ".join(app.server_metadata["id_token_signing_alg_values_supported"])
        self.stdout.write(f"auth.oidc: {oidc.issuer}: signs by {algorithms}")


def _asked_for(backend: Any) -> str:
    """Return what the backend is. Raises TypeError if it can't check a password."""
    if not callable(getattr(backend, "authenticate", None)):
        raise TypeError("it has no method authenticate")
    return type(backend).__name__


def _outlook(person: Person) -> str:
    if not ACCOUNT_NAME.fullmatch(person.name):
        return "refused, it is no name of an account"
    account = Account.objects.filter(name__iexact=person.name).first()
    if account is None:
        return "made at the first login"
    if account.provider != person.provider or account.name != person.name:
        return f"refused, the account {account.name} is not of the directory"
    if account.missing_since is None and not account.is_active:
        return "refused, it was deactivated here"
    return "there already"
