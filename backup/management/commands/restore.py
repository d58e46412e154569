"""`manage.py restore FOLDER`: make the registry of a backup, in an empty place."""

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
from backup.restoring import Restore, restore
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from core.db.setup import where
from core.progress import Progress
from core.sizes import size_text
from core.start_error import StartError


class Command(BaseCommand):
    """Restore to where the configuration says."""

    help = (
        "Restore a backup into an empty database and storage, as the configuration names them. A configuration and "
        "keys that are there already stay. `manage.py` has restored a missing configuration before it came here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the folder, the configuration, which `manage.py` has made that of this process, and two options."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="What `manage.py backup` filled.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--verify", action="store_true", help="First read every object and compare its digest.")
        parser.add_argument(
            "--link", action="store_true", help="Share the objects with the backup by hard link, in place of a copy."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, then say what there is and what to do next."""
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
    """Say what was restored, and what comes next."""
    counts, storage = done.counts, settings.REGISTRY.storage
    lines = [f"database: {where()}, as of {found.made_at}"]
    if found.has_objects:
        where_to = f"{size_text(found.object_bytes)} in {storage.rootdirectory}"
        lines.append(f"objects: {found.objects}, {where_to}; {counts.copied} copied, {counts.linked} linked")
    else:
        lines.append(f"objects: {found.objects} have to be in {storage.backend}; `manage.py fsck` says which are not")
    lines.append("keys: restored" if done.has_put_back_keys else "keys: there were some already, they stay")
    check = "manage.py fsck --deep" + (f" --config {named}" if named else "")
    return [*lines, f"next: start the server, then `{check}`; uploads that were open begin anew"]
