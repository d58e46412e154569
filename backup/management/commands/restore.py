"""`manage.py restore FOLDER`: restore a backup into an empty database and storage."""

import sqlite3
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from backup.errors import BackupError
from backup.manifest import Manifest
from backup.restore import Restore, restore
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from core.db.setup import where
from core.progress import Progress
from core.sizes import size_text
from core.start_error import StartError


class Command(BaseCommand):
    """Restore to the configured database and storage."""

    help = (
        "Restore a backup into the configured database and storage, which must be empty. An existing configuration and "
        "existing keys stay; a missing configuration is restored first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="The folder of a backup.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--verify", action="store_true", help="First read every object and verify its digest.")
        parser.add_argument(
            "--link", action="store_true", help="Make hard links to the objects of the backup instead of copies."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, then print a summary and the next step."""
        done, stopper = Restore(), Stopper()
        progress = Progress(done.so_far, sys.stderr)

        def watch() -> None:
            progress.step()
            stopper.watch()

        try:
            with stopped_by_signal(stopper):
                path = options["folder"].absolute()
                found = restore(path, done, watch, is_deep=options["verify"], may_link=options["link"])
        except (BackupError, StartError) as error:
            raise CommandError(str(error)) from error
        except (StopError, DatabaseError, sqlite3.Error, psycopg.Error, OSError) as error:
            raise CommandError(f"The restore ended early: {error}; remove what it made, and run it again") from error
        finally:
            progress.end()
        for line in _summary(found, done, options["config"]):
            self.stdout.write(line)


def _summary(found: Manifest, done: Restore, named: str | None) -> list[str]:
    counts, storage = done.counts, settings.REGISTRY.storage
    lines = [f"database: {where()}, as of {found.made_at}"]
    if found.has_objects:
        where_to = f"{size_text(found.object_bytes)} in {storage.rootdirectory}"
        lines.append(f"objects: {found.objects}, {where_to}; {counts.copied} copied, {counts.linked} linked")
    else:
        lines.append(f"objects: {found.objects} have to be in {storage.backend}; `manage.py fsck` says which are not")
    lines.append("keys: restored" if done.has_restored_keys else "keys: there were some already, they stay")
    check = "manage.py fsck --deep" + (f" --config {named}" if named else "")
    return [*lines, f"next: start the server, then `{check}`; clients have to start open uploads again"]
