"""`manage.py printjwks`: the public keys of tokens, for other registries."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.private_files import KeyFileError
from tokens.keys import ring
from tokens.keys.certificates import bundle


class Command(BaseCommand):
    """Print the keys as a JSON Web Key Set, or as certificates."""

    help = (
        "Print the public keys that verify tokens: as a JSON Web Key Set (auth.token.jwks of version 3 of the "
        "registry), or with --certificates as PEM (auth.token.rootcertbundle of versions 2 and 3)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--certificates", action="store_true", help="certificates in PEM form")
        parser.add_argument("--config", metavar="FILE", help="the configuration file of the registry")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = ring.current()
            if options["certificates"]:
                self.stdout.write(bundle(keys), ending="")
                return
        except KeyFileError as error:
            raise CommandError(str(error)) from error
        if keys.active.jwk is None:
            raise CommandError("auth.signing_method: hmac has no public key")
        self.stdout.write(json.dumps({"keys": [key.jwk for key in keys.by_kid.values()]}, indent=2))
