"""`manage.py importusers HTPASSWD`: accounts of an htpasswd file."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from configuration.values import UserEntry
from core.command_errors import explained
from provisioning import htpasswd
from provisioning.accounts import is_group_name
from provisioning.outcome import Change


class Command(BaseCommand):
    """Write the accounts of lines with a bcrypt hash, and name the others."""

    requires_migrations_checks = True
    help = (
        "Take over the users of an htpasswd file, whose bcrypt hashes stay as they are. Lines with another hash are "
        "named, and the exit status is 1. Accounts that are there stay as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="HTPASSWD", type=Path, help="the htpasswd file")
        parser.add_argument("--group", metavar="GROUP", help="a group of all of them, which is made")
        parser.add_argument(
            "--replace", action="store_true", help="give accounts that are there the passwords of the file"
        )
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        path, group = options["file"], options["group"]
        if group is not None and not is_group_name(group):
            raise CommandError(f"no group can be called {group!a}")
        with explained(), path.open("rb") as file:
            content = file.read(htpasswd.MAX_BYTES + 1)
        if len(content) > htpasswd.MAX_BYTES:
            raise CommandError(f"{path}: it has more than {htpasswd.MAX_BYTES} bytes")
        try:
            found = list(htpasswd.read(content.decode()))
        except UnicodeDecodeError as error:
            raise CommandError(f"{path}: it is not UTF-8") from error
        refused = [entry for entry in found if isinstance(entry, htpasswd.Refusal)]
        users = [entry for entry in found if isinstance(entry, UserEntry)]
        for refusal in refused:
            self.stderr.write(f"refused: {refusal}")
        with explained():
            try:
                steps = htpasswd.write(users, str(path), group, replaces=options["replace"])
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        for step in steps:
            self.stdout.write(str(step))
        changes = sum(step.change is not Change.EDITED for step in steps)
        self.stdout.write(f"{path}: {changes} changes, {len(refused)} lines refused")
        if refused:
            sys.exit(1)
