"""`manage.py fsck`: check what must never break."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, connection

from collector import fsck
from collector.fsck import Problem
from distribution.storage.blob_store import blob_store, check_storage


class Command(BaseCommand):
    """Print what is broken; with --repair, mend what can be mended."""

    # Says so, and what to run, when the tables of this version are not there yet.
    requires_migrations_checks = True
    help = (
        "Check that every stored object, blob and manifest is what it should be, beside a running server. "
        "Exit status 0: all is well; 1: something is broken, and after --repair still is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the configuration, which `manage.py` has made that of this process, --deep and --repair."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--deep", action="store_true", help="Read every blob and compare its digest.")
        parser.add_argument("--repair", action="store_true", help="Mend what can be mended.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and exit with 1 when something is broken."""
        found = left = 0
        _check_storage()
        _check_references()
        for problem in fsck.check(is_deep=options["deep"]):
            found += 1
            left += not self._is_mended(problem, may_repair=options["repair"])
        self.stdout.write(f"{found} problems, {found - left} repaired" if found else "no problems")
        if left:
            sys.exit(1)

    def _is_mended(self, problem: Problem, *, may_repair: bool) -> bool:
        if not may_repair or problem.mend is None:
            self.stdout.write(problem.what)
            return False
        problem.mend()
        self.stdout.write(f"{problem.what}: {problem.remedy}")
        return not problem.is_loss


def _check_storage() -> None:
    """Raise CommandError when the storage is not there: every blob would seem lost."""
    if not blob_store().is_prepared():
        raise CommandError(f"storage: {blob_store().folder()} has no folder `objects`: is the disk mounted?")
    check_storage()


def _check_references() -> None:
    """Raise CommandError when a foreign key leads nowhere, which only SQLite without its checks lets happen."""
    if connection.vendor != "sqlite":
        return
    try:
        connection.check_constraints()
    except IntegrityError as error:
        raise CommandError(f"The database is damaged, nothing else was checked: {error}") from error
