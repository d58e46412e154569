"""`manage.py revoketoken`: end an access token of an account."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.login_log import log_event
from audit.kinds import Kind
from core.command_errors import explained
from core.sizes import counted
from tokens.access import store


class Command(BaseCommand):
    """Revoke access tokens."""

    requires_migrations_checks = True
    help = "Revoke an access token, or all of an account: requests with it are refused at once, in every process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--name", help="the name of the token")
        which.add_argument("--all", action="store_true", help="all tokens of the account")
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        account, name = options["account"], options["name"]
        with explained():
            rows = store.of_account(account)
            number = store.revoke(rows if name is None else rows.filter(name=name))
        if not number:
            raise CommandError(f"{account} has no valid access token{'' if name is None else f' named {name}'}.")
        log_event(None, account, f"{counted(number, 'access token')} revoked", Kind.ACCESS_TOKEN)
        self.stdout.write(f"Revoked {counted(number, 'access token')} of {account}.")
