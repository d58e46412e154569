"""`manage.py runjobs`: run the periodic jobs beside the server, continuously or once."""

import sys
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from collector.jobs import due
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.throttle import StopError


class Command(BaseCommand):
    """Run the jobs that are due every minute."""

    help = (
        "Run the periodic jobs: empty the trash, expire abandoned uploads, and collect every "
        "garbage_collector.interval. Any number of processes may run: each job is done by one of them at a time."
    )

    # The server ran them when it started. They load the admin, and workers start this command often.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument(
            "--once", action="store_true", help="Run the jobs that are due, then exit; with status 1 if one failed."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the jobs that are due, every minute until SIGTERM, or once."""
        stopper = Stopper()
        with stopped_by_signal(stopper):
            while True:
                is_well = True
                with suppress(StopError):
                    is_well = due.run_due(stopper.watch)
                if options["once"] or stopper.stop_requested.wait(due.INTERVAL_SECONDS):
                    break
                connection.close_if_unusable_or_obsolete()
        if options["once"] and not is_well:
            sys.exit(due.FAILED)
