"""`manage.py rotatekey`: sign tokens with the next key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from audit.kinds import Kind
from audit.recording import record
from core.db.setup import where
from core.private_files import KeyFileError
from tokens.keys import fingerprints, ring, stored


class Command(BaseCommand):
    help = (
        "Sign tokens with the next key from now on, in every process and without a restart. Tokens of the retiring "
        "key stay valid until they expire; /v2/token/jwks shows all keys."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config", help="the configuration file of the registry")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # A refused rotation must not store its keys, as a refused start must not.
            with transaction.atomic():
                ring.ensure_keys()
                fingerprints.refuse_stale()
            retiring, active = ring.rotate()
            fingerprints.remember_signing_key()
        except KeyFileError as error:
            raise CommandError(str(error)) from error
        about = {"credential": "command", "reference": active, "detail": f"it signs now; {retiring} is retiring"}
        record(Kind.KEY_ROTATED, None, **about)
        self.stdout.write(f"{active} signs now; {retiring} is retiring")
        if ring.is_stored():
            self.stdout.write(f"every server on {where()} uses it within {stored.CACHE_SECONDS:.0f} seconds")
        elif connection.vendor == "postgresql":
            folder = ring.key_folder().private.parent
            self.stdout.write(
                f"servers that do not share {folder} have to get its files: copy them before the tokens of now expire, "
                "or set auth.keys: database"
            )
