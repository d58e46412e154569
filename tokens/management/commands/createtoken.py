"""`manage.py createtoken`: make an access token for an account."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.login_log import log_event
from accounts.models import Account
from audit.kinds import Kind
from core.command_errors import explained
from core.durations import InvalidDurationError, parse_duration
from tokens.access import store

_DAYS = re.compile(r"([0-9]{1,5})d")


def lifetime(text: str) -> timedelta:
    """Return a duration: of days, "90d", or in Go's syntax, "12h"."""
    if found := _DAYS.fullmatch(text):
        return timedelta(days=int(found[1]))
    try:
        return parse_duration(text)
    except InvalidDurationError as error:
        raise ArgumentTypeError(f'{error}, or days, as "90d"') from error


class Command(BaseCommand):
    """Print a new access token."""

    requires_migrations_checks = True
    help = (
        "Make an access token, which clients use as the password of the account: docker login -u ACCOUNT. The token "
        "alone is printed, and can't be shown again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", metavar="ACCOUNT")
        parser.add_argument("--name", required=True, help="what it is for, as ci")
        parser.add_argument(
            "--scope",
            action="append",
            default=[],
            metavar="GLOB:actions",
            help="limit it, as 'alice/*:pull,push'; may be repeated. Without one it may do what the account may",
        )
        parser.add_argument(
            "--expires",
            type=lifetime,
            metavar="DURATION",
            help="until then it is valid, as 90d or 12h (auth.access_token_lifetime)",
        )
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        with explained():
            account = Account.objects.filter(name=options["account"]).first()
            if account is None:
                raise CommandError(f"There is no account {options['account']}.")
            try:
                row, token = store.create(account, options["name"], options["scope"], options["expires"])
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        log_event(None, account.name, f"access token {row.name} created", Kind.ACCESS_TOKEN)
        self.stdout.write(token)
