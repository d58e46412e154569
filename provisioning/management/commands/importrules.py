"""`manage.py importrules FILE`: users and rules of docker_auth."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from core.command_errors import explained
from provisioning.docker_auth import document, writing
from provisioning.docker_auth.translation import not_taken, translate


class Command(BaseCommand):
    """Write accounts, groups and rules, or print them."""

    requires_migrations_checks = True
    help = (
        "Take over users and rules from the configuration file of docker_auth: they allow exactly what it allowed. "
        "If one can't be said by rules, it is named, nothing is written, and the exit status is 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="the YAML file of docker_auth")
        parser.add_argument("--dry-run", action="store_true", help="write nothing; say what would be")
        parser.add_argument("--yaml", action="store_true", help="write nothing; print users and acl for config.yaml")
        parser.add_argument(
            "--service", metavar="NAME", help="auth.token.service of the registry, if an entry is about a service"
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="give accounts that are there the passwords of the file, and delete other rules with an order",
        )
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        with explained():
            path = options["file"]
            with path.open("rb") as file:
                content = file.read(document.MAX_BYTES + 1)
            try:
                found = document.read(content)
            except document.DocumentError as error:
                raise CommandError(f"{path}: {error}") from error
            translation = translate(found, options["service"])
            self._notes([*not_taken(found), *translation.notes])
            if translation.refused:
                for reason in translation.refused:
                    self.stderr.write(f"refused: {reason}")
                raise CommandError(f"{path}: {len(translation.refused)} refused, and nothing is written")
            if options["yaml"]:
                self.stdout.write(writing.yaml_text(translation), ending="")
                return
            is_rehearsal = options["dry_run"]
            try:
                written = writing.write(translation, str(path), replaces=options["replace"], is_rehearsal=is_rehearsal)
            except writing.OtherRulesError as error:
                raise CommandError(f"{error}.") from error
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        self._notes(written.notes)
        for step in written.steps:
            self.stdout.write(step)
        done = "would be made" if is_rehearsal else "made"
        self.stdout.write(f"{path}: {len(written.steps)} changes {done}" if written.steps else f"{path}: no change")

    def _notes(self, notes: list[str]) -> None:
        for note in notes:
            self.stderr.write(f"note: {note}")
