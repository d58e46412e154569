"""`manage.py removesecondfactor`, for an account that has lost device and recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import second_factor
from accounts.login_log import log_event
from accounts.models import Account
from audit.kinds import Kind


class Command(BaseCommand):
    """Remove the second factor of an account."""

    requires_migrations_checks = True
    help = (
        "Remove the second factor of an account and end its sessions. It then logs in with its password alone; with "
        "admin.require_second_factor it has to set up a new one."
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
        log_event(None, account.name, "second factor removed", Kind.SECOND_FACTOR)
        self.stdout.write(f"Removed the second factor of {account}.")
