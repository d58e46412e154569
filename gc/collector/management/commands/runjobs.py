"""`manage.py runjobs`: do what is due beside the server, for good or once."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from collector.jobs import due
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError


class Command(BaseCommand):
    """Empty the trash every minute, and collect by the interval of the configuration."""

    help = (
        "Do the periodic jobs: delete what waits in the trash, end uploads nobody goes on with, and collect by "
        "garbage_collector.interval. Any number of these may run: each job is done by one process at a time."
    )

    # Made when the server starts. They load the admin, and workers start this command again and again.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the configuration, which `manage.py` has made that of this process, and --once."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument(
            "--once", action="store_true", help="Do what is due and end; exit status 1 when something failed."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is due, again and again until SIGTERM without --once."""
        stopper = Stopper()
        with stopped_by_signal(stopper):
            is_well = _run(stopper)
            while not (options["once"] or stopper.is_told.wait(due.INTERVAL_SECONDS)):
                connection.close_if_unusable_or_obsolete()
                is_well = _run(stopper)
        if options["once"] and not is_well:
            sys.exit(due.FAILED)


def _run(stopper: Stopper) -> bool:
    try:
        return due.run_due(stopper.watch)
    except StopError:
        return True
