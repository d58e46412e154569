"""What the commands of an import and an export have in common: progress, interruption, errors and exit status."""

import sys
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError
from core import progress as terminal
from core.api.errors import RegistryError
from core.start_error import StartError
from distribution.storage.blob_store import KeyTakenError
from distribution.storage.cloud import CloudError
from registry_copy.errors import CopyError
from registry_copy.progress import Progress

Watch = Callable[[], None]


class TransferCommand(BaseCommand):
    """Moves repositories in or out, then prints a summary; the exit status says whether something was left out."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    noun: str
    """Of the run, as "import"."""
    verb: str
    """What the progress says, as "importing"."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options of both; `manage.py` has read --config already."""
        parser.add_argument(
            "--repository", metavar="GLOB", default="*", help="Only repositories with such a name, as 'myorg/*'."
        )
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    @abstractmethod
    def transfer(self, progress: Progress, watch: Watch, options: dict[str, Any]) -> Iterable[str]:
        """Do it, calling `watch` often, and return the lines of the summary. Raises what `handle` explains."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until the end, an error or a signal."""
        progress, stopper = Progress(self._say, verb=self.verb), Stopper()
        self._line = line = terminal.Progress(progress.so_far, sys.stderr)

        def watch() -> None:
            line.step()
            stopper.watch()

        try:
            with stopped_by_signal(stopper):
                summary = self.transfer(progress, watch, options)
        except (CopyError, StartError) as error:
            raise CommandError(str(error)) from error
        except (StopError, DatabaseError, CloudError, KeyTakenError, OSError, RegistryError) as error:
            reason = error.message if isinstance(error, RegistryError) else " ".join(str(error).split())
            raise CommandError(f"The {self.noun} ended early: {reason}; run it again, it continues") from error
        finally:
            line.end()
        for text in summary:
            self.stdout.write(text)
        if progress.left_out:
            raise CommandError(f"left out, for the reasons above: {progress.summary()}")

    def _say(self, text: str) -> None:
        self._line.end()
        self.stdout.write(text)
