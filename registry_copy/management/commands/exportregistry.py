"""`manage.py exportregistry FOLDER`: write what registry:2 or 3 serves, or OCI image layouts."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from core import progress as terminal
from core.sizes import counted, size_text
from core.start_error import StartError
from distribution.storage import copy_mark
from distribution.storage.blob_store import blob_store, check_storage
from distribution.storage.cloud import CloudError
from registry_copy import places
from registry_copy.errors import CopyError
from registry_copy.exporting import run as exporting
from registry_copy.exporting.layouts import DistributionLayout, OciLayout
from registry_copy.exporting.target import Target
from registry_copy.objects import Placing
from registry_copy.progress import Progress


class Command(BaseCommand):
    """Export, and print what was left out."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Write all repositories to a folder that registry 2.x or 3.x (docker/distribution) serves, beside a running "
        "server. Blobs are hard links if the folder is on the file system of the storage, otherwise copies, which are "
        "hashed. A hard link is the same file as the object in the storage: chown, chmod or a write in FOLDER changes "
        "that too; --copy prevents it. Another run continues, and adds what came since. Exit status 1: refused, "
        "interrupted, or something was left out, and said why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument(
            "folder", metavar="FOLDER", type=Path, help="The folder to write; docker/registry/v2 is made in it."
        )
        parser.add_argument(
            "--oci-layout",
            action="store_true",
            help="Write OCI image layouts instead, one for each repository, in FOLDER/NAME/_oci.",
        )
        parser.add_argument(
            "--copy", action="store_true", help="Copy the blobs, so that other users may read them (mode 0644)."
        )
        parser.add_argument("--verify", action="store_true", help="Hash linked blobs too, and those that are there.")
        parser.add_argument(
            "--repository", metavar="GLOB", default="*", help="Only repositories with such a name, as 'myorg/*'."
        )
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export, then print a summary; the exit status says whether something was left out."""
        progress, stopper = Progress(self._say, verb="exporting"), Stopper()
        self._line = line = terminal.Progress(progress.so_far, sys.stderr)

        def watch() -> None:
            line.step()
            stopper.watch()

        try:
            with stopped_by_signal(stopper):
                _run(progress, watch, options)
        except (CopyError, StartError) as error:
            raise CommandError(str(error)) from error
        except (StopError, DatabaseError, CloudError, OSError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"The export ended early: {reason}; run it again, it continues") from error
        finally:
            line.end()
        for text in _summary(progress, options["folder"]):
            self.stdout.write(text)
        if progress.left_out:
            raise CommandError(f"left out, for the reasons above: {progress.summary()}")

    def _say(self, text: str) -> None:
        self._line.end()
        self.stdout.write(text)


def _run(progress: Progress, watch: Callable[[], None], options: dict[str, Any]) -> None:
    matches, store = places.matching(options["repository"]), blob_store()
    copy_mark.refuse_unfinished(store)
    check_storage()
    with Placing(watch) as placing:
        progress.moved_bytes = lambda: placing.moved_bytes
        folder = options["folder"].absolute()
        target = Target(folder, store, placing.moved, copies=options["copy"], verifies=options["verify"])
        layout = OciLayout(target) if options["oci_layout"] else DistributionLayout(target)
        exporting.run(layout, matches, placing, progress)


def _summary(progress: Progress, folder: Path) -> Iterator[str]:
    yield (
        f"exported {counted(progress.repositories, 'repository', 'repositories')} to {folder}: "
        f"{counted(progress.manifests, 'manifest')}, {counted(progress.tags, 'tag')}, and "
        f"{counted(progress.blobs, 'blob')} with {size_text(progress.bytes)} that were not there, in "
        f"{progress.seconds:.1f} seconds"
    )
    if progress.kept:
        yield f"{counted(progress.kept, 'tag')} kept as there, for the reasons above"
