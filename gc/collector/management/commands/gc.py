"""`manage.py gc`: remove what nothing references, beside a running server."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from accounts.durations import InvalidDurationError, parse_duration
from collector import collection
from collector.pace import Pace
from collector.policy import Policy
from collector.progress import Progress
from collector.report import Report, names_of, table
from distribution import trash


class Command(BaseCommand):
    """Collect once, or say what that would remove."""

    help = (
        "Remove blobs, uploads and, if asked to, manifests that nothing references and nobody used for the "
        "grace period. Pushes go on meanwhile. Exit status 1: some rows could not be removed; the log says why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what overrides the configuration, whose file `manage.py` has made that of this process."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument(
            "--delete-untagged",
            action="store_true",
            default=None,
            help="Remove manifests without a tag too (default: garbage_collector.remove_untagged).",
        )
        parser.add_argument(
            "--grace-period",
            type=_duration,
            metavar="DURATION",
            help='Keep what was used within it, as "24h" or "90m" (default: garbage_collector.grace_period).',
        )
        parser.add_argument("--dry-run", action="store_true", help="Change nothing; list what would go, and why.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, then print the table."""
        policy = Policy.configured().but(
            grace_period=options["grace_period"], remove_untagged=options["delete_untagged"]
        )
        report = Report()
        try:
            (self._rehearse if options["dry_run"] else self._collect)(policy, report)
        except (DatabaseError, OSError) as error:
            raise CommandError(f"The run ended early: {error}") from error
        self._print(report, is_dry_run=options["dry_run"])
        if report.failures:
            sys.exit(1)

    def _collect(self, policy: Policy, report: Report) -> None:
        progress = Progress(report, sys.stderr)
        try:
            collection.collect(policy, report, Pace(progress.step))
        finally:
            progress.end()
        collection.foresee(policy, report)

    def _rehearse(self, policy: Policy, report: Report) -> None:
        for finding in collection.rehearse(policy, report):
            self.stdout.write(f"would remove {finding}")
        collection.foresee(policy, report)
        for counts in report.repositories.values():
            # What goes now is not foreseen for later.
            counts.later_bytes -= counts.freed_bytes

    def _print(self, report: Report, *, is_dry_run: bool) -> None:
        self.stdout.write(table(report, names_of(report.repositories)))
        would = "would be " if is_dry_run else ""
        self.stdout.write(
            f"{report.uploads} uploads {would}ended, {report.objects} objects {would}deleted from the storage"
        )
        if report.total.blobs and not is_dry_run:
            minutes = trash.DELAY // timedelta(minutes=1)
            self.stdout.write(f"The storage gets the freed bytes back by a run {minutes} minutes from now or later.")
        if report.busy:
            self.stdout.write(f"{report.busy} rows were in use: left for the next run")
        if report.failures:
            self.stdout.write(f"{report.failures} rows could not be removed: the log says why")


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except InvalidDurationError as error:
        raise ArgumentTypeError(str(error)) from error
