"""`manage.py checkimport FOLDER`: ask the running server for each tag of an imported registry."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.command_errors import explained
from core.sizes import counted
from distribution.storage.blob_store import blob_store
from registry_copy import checking, places
from registry_copy.errors import CopyError
from registry_copy.source.tree import Tree

_MOST_LINES = 20


class Command(BaseCommand):
    """Check, and print what answers otherwise."""

    requires_migrations_checks = True
    help = (
        "Ask the running server of this machine for each tag in the storage of a registry 2.x or 3.x, as an account "
        "that may pull it, and compare the digests. Exit status 1: a tag does not answer, or with another digest."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("source", metavar="FOLDER", help="What importregistry was given.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and print what answers otherwise."""
        server = settings.REGISTRY.server
        host = "127.0.0.1" if server.host in {"", "0.0.0.0", "::"} else server.host  # noqa: S104 - compared only
        try:
            with explained():
                # Nothing is taken.
                tree = Tree(places.files_of(options["source"], blob_store(), lambda _size: None, copies=True))
                checked = checking.check(tree, host, server.port)
        except CopyError as error:
            raise CommandError(str(error)) from error
        for text in checked.faults[:_MOST_LINES]:
            self.stdout.write(text)
        if more := checked.faults[_MOST_LINES:]:
            self.stdout.write(f"… and {len(more)} more")
        for name in checked.unreachable[:_MOST_LINES]:
            self.stdout.write(f"{name}: not asked for, since no account may pull it")
        if more := checked.unreachable[_MOST_LINES:]:
            self.stdout.write(f"… and {counted(len(more), 'repository', 'repositories')} more")
        tags, names = counted(checked.tags, "tag"), counted(checked.repositories, "repository", "repositories")
        if checked.faults:
            raise CommandError(f"{len(checked.faults)} of {tags} of {names} answer otherwise than there")
        self.stdout.write(f"{tags} of {names} answer with the same digest")
