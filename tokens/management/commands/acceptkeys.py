"""`manage.py acceptkeys`: make the keys of this configuration those of its database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.private_files import KeyFileError
from tokens.keys import fingerprints, ring


class Command(BaseCommand):
    """Accept a secret_key and signing keys that were changed on purpose."""

    help = (
        "Accept a secret key and signing keys that were changed on purpose. Stop every server on the database first: "
        "it then knows those of this configuration, and a server with others does not start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the option; `manage.py` has read it already."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Accept, and name the key that signs."""
        try:
            if not ring.is_stored():
                ring.ensure_keys()
            fingerprints.accept()
        except KeyFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"accepted: {ring.current().active.kid} signs tokens; start the servers with the same keys")
