"""`manage.py fsck`: check the invariants of database and storage."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, connection

from collector import fsck
from distribution import bucket_owner
from distribution.models import Blob
from distribution.storage import copy_mark
from distribution.storage.blob_store import blob_store, check_storage


class Command(BaseCommand):
    """Print the problems; with --repair, repair what can be repaired."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Check every stored object, blob and manifest, beside a running server. "
        "Exit status 0: no problems; 1: there are problems, with --repair: that remain."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--deep", action="store_true", help="Read every blob and compare its digest.")
        parser.add_argument("--repair", action="store_true", help="Repair what can be repaired.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, print, and exit with 1 when a problem remains."""
        found = left = 0
        _refuse_other_storage()
        check_storage()
        try:
            # Dangling foreign keys are possible in SQLite with its checks off.
            if connection.vendor == "sqlite":
                connection.check_constraints()
        except IntegrityError as error:
            raise CommandError(f"The database is damaged, nothing else was checked: {error}") from error
        for problem in fsck.check(is_deep=options["deep"]):
            found += 1
            if not options["repair"] or problem.repair is None:
                self.stdout.write(problem.what)
                left += 1
                continue
            problem.repair()
            self.stdout.write(f"{problem.what}: {problem.remedy}")
            left += problem.is_loss
        self.stdout.write(f"{found} problems, {found - left} repaired" if found else "no problems")
        if left:
            sys.exit(1)


def _refuse_other_storage() -> None:
    """Raise CommandError for a storage that is not the one of the database: every blob would look lost."""
    store = blob_store()
    bucket_owner.refuse_other()
    copy_mark.refuse_unfinished(store)
    if store.is_prepared() or (store.is_cloud and not Blob.objects.exists()):
        return
    if store.is_cloud:
        raise CommandError("storage: S3 has no objects: are bucket_name, location and endpoint_url right?")
    raise CommandError(f"storage: {store.folder()} has no folder `objects`: is the disk mounted?")
