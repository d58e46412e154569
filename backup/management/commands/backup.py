"""`manage.py backup FOLDER`: back up the registry beside a running server."""

import sqlite3
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from backup.create import Backup, create
from backup.errors import BackupError, BusyFolderError
from backup.manifest import Manifest
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.lease import LeaseTakenError
from collector.throttle import StopError
from core.progress import Progress
from core.sizes import size_text


class Command(BaseCommand):
    """Create a backup, or update the one in the folder."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Copy database, objects, keys and configuration into a folder, while pushes continue; another run into the "
        "same folder copies only new objects. Exit status 3: another backup is running."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="New, empty, or with an earlier backup.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Back up, then print a summary."""
        began_at = time.monotonic()
        backup, stopper = Backup(), Stopper()
        progress = Progress(backup.so_far, sys.stderr)

        def watch() -> None:
            progress.step()
            stopper.watch()

        try:
            with stopped_by_signal(stopper):
                made = create(options["folder"].absolute(), backup, watch)
        except LeaseTakenError as error:
            raise CommandError(f"Another backup is being made: {error}", returncode=3) from error
        except BusyFolderError as error:
            raise CommandError(str(error), returncode=3) from error
        except BackupError as error:
            raise CommandError(str(error)) from error
        except (StopError, DatabaseError, sqlite3.Error, psycopg.Error, OSError) as error:
            raise CommandError(f"The backup ended early: {error}; run it again to continue") from error
        finally:
            progress.end()
        for line in _summary(options["folder"], made, backup, time.monotonic() - began_at):
            self.stdout.write(line)


def _summary(folder: Path, made: Manifest, backup: Backup, seconds: float) -> list[str]:
    counts = backup.counts
    how = f"; {counts.linked} linked, {counts.copied} copied, {counts.present} there already, {backup.removed} removed"
    if not made.has_objects:
        how = (
            f" in {made.storage}, NOT copied: make the bucket keep deleted objects as long as this backup, by the "
            "means of its provider"
        )
    return [
        f"database: {made.database}, {size_text(made.database_bytes)}",
        f"objects: {made.objects}, {size_text(made.object_bytes)}{how}",
        f"backup of {made.made_at} complete in {folder}, {seconds:.1f} seconds",
    ]
