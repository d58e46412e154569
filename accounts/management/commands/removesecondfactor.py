"""`manage.py removesecondfactor`: let somebody in who has lost the device and the recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import second_factor
from accounts.login_log import log_event
from accounts.models import Account


class Command(BaseCommand):
    """Remove the second factor of an account."""

    requires_migrations_checks = True
    help = (
        "Remove the second factor of an account, which then opens the admin with its password alone, or is led to "
        "setting another one up where admin.require_second_factor says so. Its sessions of the admin end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="The account.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(name=options["name"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['name']}.")
        if not second_factor.remove(account):
            raise CommandError(f"{account} has no second factor.")
        log_event(None, account.name, "second factor removed")
        self.stdout.write(f"Removed the second factor of {account}.")
