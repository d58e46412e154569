"""`manage.py rotatekey`: sign tokens with the next key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.private_files import KeyFileError
from tokens.keys import ring


class Command(BaseCommand):
    help = (
        "Sign tokens with the next key from now on, in every process and without a restart. Tokens of the retiring "
        "key stay valid until they expire; /v2/token/jwks shows all keys."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config", help="the configuration file of the registry")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            retiring, active = ring.rotate()
        except KeyFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{active} signs now; {retiring} is retiring")
