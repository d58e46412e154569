"""`manage.py deleterepository`: delete a repository with its contents, beside a running server."""

import sys
from argparse import ArgumentParser
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl.names import InvalidNameError, RepositoryName, parse_name
from audit.kinds import Kind
from audit.recording import record
from collector import repositories
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError, Throttle
from core.api.errors import ErrorCode, RegistryError
from core.progress import Progress, bar
from core.sizes import counted, size_text
from distribution import deletion, queries
from distribution.deletion import Removed
from distribution.models import Repository
from distribution.storage import trash

SUGGESTED = 3


class Command(BaseCommand):
    """Print what a repository contains, and delete it."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Delete a repository with its tags, manifests, blobs and open uploads. Clients get 404 for it at once; its "
        "contents are removed while pushes continue. At a terminal it asks first. Exit status 1: there is no such "
        "repository, or the deletion was interrupted; then the server or the next collection finishes it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("name", metavar="NAME", help="The repository, as myorg/app.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument("--dry-run", action="store_true", help="Change nothing; print what would be removed.")
        parser.add_argument("--override", choices=["immutable"], help="Delete protected content and immutable tags.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the contents, ask, delete."""
        name, pk = _find(options["name"])
        contents = deletion.contents(pk)
        counts = f"{counted(contents.tags, 'tag')}, {counted(contents.manifests, 'manifest')}"
        own, shared = size_text(contents.own_bytes), size_text(contents.shared_bytes)
        self.stdout.write(f"{name} has {counts}, {own} of its own and {shared} that others share")
        if options["dry_run"] or not (options["yes"] or _is_confirmed(name)):
            self.stdout.write("Nothing was changed.")
            return
        try:
            pk = deletion.begin(name, is_overridden=options["override"] is not None)
            if options["override"]:
                counts += "; immutability overridden"
            record(Kind.REPOSITORY_DELETED, None, credential="command", repository=name, detail=counts)
            self.stdout.write(f"Clients get 404 for {name} from now on.")
            _remove(pk, contents.rows)
        except RegistryError as error:
            if error.code is ErrorCode.UNAVAILABLE:
                # The command line names its cause.
                raise
            raise CommandError(f"{error.message}.") from error
        except (StopError, KeyboardInterrupt) as error:
            rest = "the server removes the rest within a minute, or the next collection"
            raise CommandError(f"The deletion was stopped: {rest}.") from error
        freed = ""
        if contents.own_bytes:
            minutes = trash.DELAY // timedelta(minutes=1)
            freed = (
                f" A running server frees its {own} in {minutes} minutes; without one, run `manage.py gc` after that."
            )
        self.stdout.write(f"Its contents are removed.{freed}")


def _remove(pk: int, total: int) -> None:
    removed, stopper = Removed(), Stopper()
    progress = Progress(lambda: f"{bar(removed.rows, total)} rows", sys.stderr)

    def watch() -> None:
        progress.step()
        stopper.watch()

    try:
        with stopped_by_signal(stopper):
            for step in repositories.steps(pk, Throttle(watch)):
                removed.add(step)
    finally:
        progress.end()


def _is_confirmed(name: str) -> bool:
    """Ask at a terminal; a script is not asked."""
    if not sys.stdin.isatty():
        return True
    return input(f"Delete {name}? This can't be undone. [y/N] ").strip().lower() in ("y", "yes")


def _find(text: str) -> tuple[RepositoryName, int]:
    """Return name and primary key of the repository. Raises CommandError, which suggests similar names."""
    with suppress(InvalidNameError):
        name = parse_name(text)
        pk = queries.repository(name)
        if pk is not None:
            return name, pk
    names = deletion.without_hidden(Repository.objects.all()).values_list("name", flat=True)
    near = get_close_matches(text, names.iterator(), SUGGESTED)
    raise CommandError(f"There is no repository {text}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
