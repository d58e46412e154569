"""`manage.py migratedb --to URL`: copy the SQLite database into an empty PostgreSQL."""

import sqlite3
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, connections

from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from core import progress as terminal
from core.start_error import StartError
from database_copy.errors import CopyError, InUseError
from database_copy.run import Progress, copy
from database_copy.target import without_password
from server import listener


class Command(BaseCommand):
    """Copy, compare, and print the next step."""

    help = (
        "Copy the SQLite database into an empty PostgreSQL, and compare every row. Stop the server first; the SQLite "
        "file stays as it is. An interrupted copy starts over. Exit status 3: one of the databases is in use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument(
            "--to",
            required=True,
            metavar="URL",
            help="postgresql://user:password@host:5432/name; PGPASSWORD or ~/.pgpass may have the password instead.",
        )
        parser.add_argument("--config", metavar="FILE", help="The configuration file, which names the SQLite database.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Copy, then print a summary."""
        progress, stopper = Progress(), Stopper()
        line = terminal.Progress(progress.so_far, sys.stderr)

        def watch() -> None:
            line.step()
            stopper.watch()

        url, path = options["to"], Path(connection.settings_dict["NAME"])
        try:
            _check_source()
            with stopped_by_signal(stopper):
                copy(path, url, progress, watch)
        except InUseError as error:
            raise CommandError(str(error), returncode=3) from error
        except (CopyError, StartError) as error:
            raise CommandError(str(error)) from error
        except psycopg.errors.DiskFull as error:
            raise CommandError(
                f"{without_password(url)}: its disk is full; make room, and run this again: it starts over"
            ) from error
        except (StopError, DatabaseError, sqlite3.Error, psycopg.Error, OSError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"The copy ended early: {reason}; run it again, it starts over") from error
        finally:
            line.end()
        for text in _summary(path, without_password(url), progress):
            self.stdout.write(text)


def _check_source() -> None:
    """Raise CopyError if the configured database is not SQLite, InUseError if its server seems to run."""
    if connection.vendor != "sqlite":
        raise CopyError("database.url: the registry uses PostgreSQL already; --config names the file of the SQLite one")
    try:
        listener.check_not_serving(settings.REGISTRY)
    except StartError as error:
        raise InUseError(f"Stop the server first, if it is the one to copy. {error}") from error
    # This process's own connections would be in the way of the exclusive lock.
    connections.close_all()


def _summary(path: Path, where: str, progress: Progress) -> list[str]:
    file = settings.REGISTRY.path or "config.yaml"
    return [
        f"copied {progress.total:,} rows of {progress.tables} tables to {where} in {progress.seconds:.1f} seconds, "
        "and compared each",
        f'next: set database.url to "{where}" (with its password) in {file}, and start the server; keys and storage '
        f"stay where they are. {path} is unchanged: keep it until you trust the copy",
    ]
