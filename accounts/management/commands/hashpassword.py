"""`manage.py hashpassword`: a bcrypt hash for the configuration file."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

import bcrypt
from django.core.management.base import BaseCommand, CommandError

from accounts.hashers import UnusablePasswordError, password_bytes


class Command(BaseCommand):
    """Print the bcrypt hash of a password from the terminal or standard input."""

    help = "Print the bcrypt hash of a password, as `users` of the configuration file takes it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", nargs="?", choices=["-"], help="- reads one line of standard input.")
        parser.add_argument(
            "--cost",
            type=int,
            default=10,
            choices=range(4, 17),
            metavar="4..16",
            help="Each step doubles the time.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["source"] is None and sys.stdin.isatty():
            password = getpass.getpass("Password: ")
            if getpass.getpass("Again: ") != password:
                raise CommandError("The two passwords differ.")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("The password is empty.")
        try:
            data = password_bytes(password)
        except UnusablePasswordError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(bcrypt.hashpw(data, bcrypt.gensalt(options["cost"])).decode("ascii"))
