"""`manage.py migratestorage --to FILE`: copy the objects into the storage that another configuration file names."""

import fcntl
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from configuration import ConfigurationError
from core import progress as terminal
from core.db import other_sessions
from core.db.setup import where
from core.lock_file import open_lock_file
from core.sizes import counted, size_text
from core.start_error import StartError
from distribution.storage.blob_store import KeyTakenError
from distribution.storage.cloud import CloudError
from server import listener
from storage_copy.errors import CopyError, InUseError
from storage_copy.progress import Progress
from storage_copy.run import copy
from storage_copy.target import Target

LOCK = "migratestorage.lock"
# The letters "copy", beside core.db.setup.START_LOCK.
COPY_LOCK = 0x636F7079
STILL_SERVING = 4
_SHOWN = 100


class Command(BaseCommand):
    """Copy, and print whether the copy is complete and the next step."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Copy all objects into another storage, beside a running server. Keys stay the same, each object is hashed "
        "meanwhile, and another run copies only what is missing. Exit status 0: complete, no server was running; 1: "
        "refused, interrupted, or some objects can't be copied; 3: another copy is running; 4: everything so far is "
        "copied, but a server is running: stop it and run this once more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument(
            "--to",
            required=True,
            type=Path,
            metavar="FILE",
            help="A configuration file whose section `storage` names the target; its other sections are not used.",
        )
        parser.add_argument(
            "--verify", action="store_true", help="Read the objects that are in the target already, too, and compare."
        )
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the running registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Copy, then print a summary; the exit status says whether the copy is complete."""
        progress, stopper = Progress(), Stopper()
        line = terminal.Progress(progress.so_far, sys.stderr)

        def watch() -> None:
            line.step()
            stopper.watch()

        try:
            target = Target(options["to"])
            with _locked(), stopped_by_signal(stopper):
                server = copy(target, progress, _find_server, watch, verifies=options["verify"])
        except InUseError as error:
            raise CommandError(str(error), returncode=3) from error
        except (ConfigurationError, CopyError, StartError) as error:
            raise CommandError(str(error)) from error
        except (StopError, DatabaseError, CloudError, KeyTakenError, OSError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"The copy ended early: {reason}; run it again, it continues") from error
        finally:
            line.end()
        for text in _summary(target.where, progress):
            self.stdout.write(text)
        self._conclude(progress, server, options["to"])

    def _conclude(self, progress: Progress, server: str, path: Path) -> None:
        file = settings.REGISTRY.path or "config.yaml"
        if progress.faults:
            raise CommandError(
                f"not complete: {counted(len(progress.faults), 'object')} above can't be copied; "
                "`manage.py fsck --deep --repair` marks such blobs, which a push then heals; run this again afterwards"
            )
        if server:
            self.stdout.write(
                f"not complete: {server}, so pushes go on; run this again whenever you like, it copies what is new; at "
                "the end stop all servers, and run it once more"
            )
            sys.exit(STILL_SERVING)
        self.stdout.write(
            f"complete: switch storage in {file} and start: replace its section storage by that of {path}, set "
            f'server.data_directory to "{settings.REGISTRY.server.data_directory}", where keys and a SQLite database '
            "stay, and start the server"
        )


@contextmanager
def _locked() -> Iterator[None]:
    """Keep other copies of this registry out. Raises InUseError, OSError, DatabaseError."""
    with _file_lock() if connection.vendor == "sqlite" else _advisory_lock():
        yield


@contextmanager
def _advisory_lock() -> Iterator[None]:
    # A session of its own, from any machine: a transaction that is repeated may close the other one.
    session = connection.copy()
    session.settings_dict["OPTIONS"].pop("pool", None)
    with closing(session), session.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [COPY_LOCK])
        if cursor.fetchone() != (True,):
            raise InUseError(f"{where()}: another copy of this registry's storage is running")
        yield


@contextmanager
def _file_lock() -> Iterator[None]:
    path = settings.REGISTRY.server.data_directory / LOCK
    file = open_lock_file(path)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"{path}: another copy of this registry's storage is running") from error
        yield
    finally:
        os.close(file)


def _find_server() -> str:
    """Return what looks like a running server, empty for nothing."""
    try:
        listener.check_not_serving(settings.REGISTRY)
    except StartError as error:
        return str(error).partition(";")[0]
    return other_sessions.find()


def _summary(where: str, progress: Progress) -> Iterator[str]:
    yield from (*progress.faults[:_SHOWN], *progress.replaced[:_SHOWN])
    if (more := len(progress.faults) - _SHOWN) > 0:
        yield f"and {more} more"
    if progress.replaced:
        yield f"{counted(len(progress.replaced), 'object')} of the target had other bytes, and were copied again"
    if progress.corrupt:
        yield f"{counted(progress.corrupt, 'blob')} marked corrupt, not copied: a push heals them, here or there"
    if progress.orphans:
        yield f"{counted(progress.orphans, 'object')} of the target that no row names any more: put into the trash"
    yield (
        f"copied {counted(progress.all_copied, 'object')}, {size_text(progress.all_copied_bytes)}, to {where} in "
        f"{progress.seconds:.1f} seconds; {progress.present} of {progress.total} were there"
    )
