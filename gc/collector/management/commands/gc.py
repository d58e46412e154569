"""`manage.py gc`: remove what nothing references, beside a running server."""

import getpass
import json
import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl.glob import InvalidPatternError, compile_glob
from collector import collection, runs
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.lease import LeaseTakenError
from collector.models import Trigger
from collector.policy import Policy
from collector.report import Report, json_value, names_of, so_far, table
from collector.throttle import StopError, Throttle
from core.durations import InvalidDurationError, parse_duration
from core.progress import Progress
from core.sizes import counted
from distribution.models import Trash
from distribution.storage import trash


class Command(BaseCommand):
    """Collect once, or list what that would remove."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Remove blobs, uploads and, with --delete-untagged, manifests that are unreferenced and were not used for the "
        "grace period. Pushes continue meanwhile. Exit status 1: some rows could not be removed; "
        "3: another run is in progress."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
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
        parser.add_argument("--repository", type=_pattern, metavar="GLOB", help="Only in these repositories.")
        parser.add_argument(
            "--max-seconds", type=_seconds, metavar="N", help="Stop after this long; the next run continues."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Change nothing; list what would be removed, and why."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON, one value on each line, the report last.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Collect, then print the report."""
        self.is_dry_run, self.is_json = options["dry_run"], options["json"]
        report, policy = Report(), Policy.configured()
        policy = Policy(
            policy.grace_period if options["grace_period"] is None else options["grace_period"],
            options["delete_untagged"] or policy.remove_untagged,
            options["repository"] or "",
        )
        try:
            stopped = self._run(policy, report, Stopper(options["max_seconds"]))
        except LeaseTakenError as error:
            raise CommandError(f"Another run is in progress: {error}", returncode=3) from error
        self._print(report, stopped)
        if report.failures:
            sys.exit(1)

    def _run(self, policy: Policy, report: Report, stopper: Stopper) -> str:
        """Return why the run was stopped, empty if it was not."""
        if self.is_dry_run:
            return self._forecast(policy, report, stopper)
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"user id {os.getuid()}"
        progress = Progress(partial(so_far, report), sys.stderr)

        def watch() -> None:
            progress.step()
            stopper.watch()

        try:
            with stopped_by_signal(stopper):
                return runs.collect(policy, report, Trigger.COMMAND, started_by=user, watch=watch).error
        finally:
            progress.end()

    def _forecast(self, policy: Policy, report: Report, stopper: Stopper) -> str:
        try:
            for finding in collection.forecast(policy, report, Throttle(stopper.watch)):
                values = {name: getattr(finding, name) for name in ("kind", "repository", "name", "size", "reason")}
                self.stdout.write(json.dumps({"would_remove": values}) if self.is_json else f"would remove {finding}")
        except StopError as error:
            return str(error)
        return ""

    def _print(self, report: Report, stopped: str) -> None:
        names = names_of(report)
        if self.is_json:
            self.stdout.write(json.dumps(json_value(report, names) | {"dry_run": self.is_dry_run, "stopped": stopped}))
            return
        self.stdout.write(table(report, names))
        for line in _remarks(report, stopped, is_dry_run=self.is_dry_run):
            self.stdout.write(line)


def _remarks(report: Report, stopped: str, *, is_dry_run: bool) -> list[str]:
    would = "would be " if is_dry_run else ""
    lines = [f"{report.uploads} uploads {would}ended, {report.objects} objects {would}deleted from the storage"]
    if tags := report.total.tags:
        lines.insert(0, f"{counted(tags, 'tag')} {would}removed by retention")
    if report.gone:
        gone = "1 repository" if len(report.gone) == 1 else f"{len(report.gone)} repositories"
        lines.append(f"{gone} removed, in which nothing was left")
    if waiting := Trash.objects.count():
        minutes = trash.DELAY // timedelta(minutes=1)
        lines.append(
            f"{counted(waiting, 'object')} in the trash: a running server deletes each {minutes} minutes after it was "
            "put there, without a server the first `manage.py gc` after that"
        )
    if stopped:
        rest = "not all is listed" if is_dry_run else "the rest is left for the next run"
        lines.append(f"The run was stopped ({stopped}): {rest}.")
    if report.busy:
        lines.append(f"{report.busy} rows were in use: left for the next run")
    if report.failures:
        lines.append(f"{report.failures} rows could not be removed: the log says why")
    return lines


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except InvalidDurationError as error:
        raise ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ArgumentTypeError(f'"{text}" is no number of seconds, as 600 or 0.5')
    return seconds


def _pattern(text: str) -> str:
    try:
        compile_glob(text)
    except InvalidPatternError as error:
        raise ArgumentTypeError(str(error)) from error
    return text
