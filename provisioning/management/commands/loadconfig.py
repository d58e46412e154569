"""`manage.py loadconfig [FILE]`: import users and rules of the configuration file."""

import json
import sys
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from configuration import Configuration, ConfigurationError
from configuration.restart import DATABASE, changed_keys
from core.command_errors import explained
from core.db import setup
from provisioning import importing
from provisioning.idle_rules import idle_rules

MAX_TOLD = 50


class Command(BaseCommand):
    """Apply the entries that changed since the last import, or list them with --check."""

    help = "Import users and access rules from the configuration file: the one named, otherwise the one in force."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="The configuration file; its database is used.")
        parser.add_argument("--config", help="The same.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Change nothing; print what is not applied yet, and rows edited since. "
            "Exit status 1 when an entry is not applied.",
        )

        # For the server: its configuration comes on standard input, one JSON object goes to standard output.
        parser.add_argument("--reload", action="store_true", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with explained():
                self._load(options)
        except CommandError as error:
            if options["reload"]:
                # For the server's log, without the class name that Django adds.
                sys.exit(str(error))
            raise

    def _load(self, options: dict[str, Any]) -> None:
        configuration = _configuration(options["file"] or options["config"])
        changed = changed_keys(json.load(sys.stdin), configuration) if options["reload"] else []
        if DATABASE in changed:
            raise CommandError(f"{configuration.path}: {DATABASE} names another database: only a restart changes it")
        setup.refuse_newer()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The database does not have the tables of this version; run: manage.py migrate")
        try:
            if options["check"]:
                outcome = importing.compare(configuration)
            else:
                # A person's command decides between the files of replicas; a server's reload does not.
                outcome = importing.apply(configuration, is_forced=not options["reload"])
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        warnings = [*configuration.warnings, *idle_rules(configuration)]
        steps = [str(step) for step in outcome.steps]
        if options["reload"]:
            told = {"summary": outcome.summary(), "superseded": outcome.superseded, "changes": steps[:MAX_TOLD]}
            self.stdout.write(json.dumps(told | {"warnings": warnings, "needs_restart": changed}))
            return
        for warning in [*warnings, *filter(None, [outcome.superseded])]:
            self.stderr.write(f"warning: {warning}")
        for step in steps:
            self.stdout.write(step)
        self.stdout.write(f"{configuration.path}: {outcome.summary(is_check=options['check'])}")
        if options["check"] and not outcome.is_applied_already:
            sys.exit(1)


def _configuration(named: str | None) -> Configuration:
    """Return the configuration of this process. Raises CommandError unless it is the file `named`."""
    configuration: Configuration = settings.REGISTRY
    if configuration.path is None:
        raise CommandError("There is no configuration file; name one: manage.py loadconfig config.yaml")
    if named is not None and not configuration.path.samefile(named):
        raise CommandError(f"This process runs with {configuration.path}; run: manage.py loadconfig {named}")
    return configuration
