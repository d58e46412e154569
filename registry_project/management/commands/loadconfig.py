"""`manage.py loadconfig [FILE]`: bring users and rules of the configuration file into the database."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from registry_project import importing
from registry_project.configuration import Configuration, ConfigurationError
from registry_project.importing.outcome import Outcome


class Command(BaseCommand):
    """Apply the entries that changed since the last import, or with --check say which these are."""

    help = "Import users and access rules from the configuration file: the one named, else the one in force."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file, which `manage.py` has made the configuration of this process, and --check."""
        parser.add_argument("file", nargs="?", help="The configuration file; its database is used.")
        parser.add_argument("--config", help="The same.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Change nothing; print what is not applied yet, and rows edited since. "
            "Exit status 1 when an entry is not applied.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import and print what was done."""
        configuration = _configuration(options["file"] or options["config"])
        try:
            _require_schema()
            outcome = (importing.compare if options["check"] else importing.apply)(configuration)
        except (ConfigurationError, OperationalError) as error:
            raise CommandError(str(error).strip()) from error
        self._print(configuration, outcome, is_check=options["check"])
        if options["check"] and not outcome.is_applied_already:
            sys.exit(1)

    def _print(self, configuration: Configuration, outcome: Outcome, *, is_check: bool) -> None:
        for warning in (*configuration.warnings, *importing.idle_rules(configuration)):
            self.stderr.write(f"warning: {warning}")
        for step in outcome.steps:
            self.stdout.write(str(step))
        summary = outcome.summary_to_do() if is_check else outcome.summary()
        self.stdout.write(f"{configuration.path}: {summary}")


def _configuration(named: str | None) -> Configuration:
    """Return the configuration of this process. Raises CommandError when it is not the file `named`."""
    configuration: Configuration = settings.REGISTRY
    if configuration.path is None:
        raise CommandError("There is no configuration file; name one: manage.py loadconfig config.yaml")
    if named is not None and not configuration.path.samefile(named):
        raise CommandError(f"This process runs with {configuration.path}; run: manage.py loadconfig {named}")
    return configuration


def _require_schema() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database has not the tables of this version; run: manage.py migrate")
