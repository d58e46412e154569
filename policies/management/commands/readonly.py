"""`manage.py readonly`: switch read-only mode on and off, beside a running server."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from audit.kinds import Kind
from audit.recording import record
from policies.models import ReadOnly


class Command(BaseCommand):
    """Make or delete the read-only policy of some repositories."""

    requires_migrations_checks = True
    help = (
        "Refuse pushes and deletions, from the next request on in every process; pulls and garbage collection go on. "
        "`off` removes the policies of exactly these repositories, or with --all every one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("state", choices=["on", "off"])
        parser.add_argument("--repositories", metavar="GLOB", default="*", help="Which ones; default: all of them.")
        parser.add_argument("--message", metavar="TEXT", default="", help="What clients print, as until when.")
        parser.add_argument("--all", action="store_true", help="With off: end every read-only mode.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the rows and print the sentences of those that are left."""
        given = ReadOnly(repositories=options["repositories"], message=options["message"])
        try:
            given.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        rows = ReadOnly.objects.all() if options["all"] else ReadOnly.objects.filter(repositories=given.repositories)
        if options["state"] == "on":
            row = rows.first()
            if row is None:
                given.save()
            else:
                rows.filter(pk=row.pk).update(message=given.message)
        elif not rows.delete()[0]:
            raise CommandError(f"No read-only mode is of exactly {given.repositories}.")
        record(Kind.CHANGE, None, credential="command", reference=f"read-only mode {given}", detail=options["state"])
        left = [str(row) for row in ReadOnly.objects.all()]
        self.stdout.write("\n".join(left) or "Nothing is read-only.")
