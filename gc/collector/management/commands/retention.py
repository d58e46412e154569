"""`manage.py retention`: say of each tag whether the next collection keeps it, and why."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl.glob import InvalidPatternError, compile_glob
from collector.policy import Policy
from collector.retention.simulation import Simulation, moment_at, repositories
from collector.throttle import Throttle
from core.db import clock
from core.sizes import counted
from policies.models import Retention


class Command(BaseCommand):
    """Simulate retention; nothing is changed."""

    requires_migrations_checks = True
    help = (
        "List every tag of the repositories that retention policies hold for: whether it stays or goes with the next "
        "collection, and why. Nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--repository", metavar="GLOB", default="", help="Only these repositories.")
        parser.add_argument("--gone", action="store_true", help="Only the tags that go.")
        parser.add_argument("--json", action="store_true", help="Print JSON, one tag on each line.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdicts, and how many there are of each."""
        try:
            compile_glob(options["repository"] or "*")
        except InvalidPatternError as error:
            raise CommandError(str(error)) from error
        configured = Policy.configured()
        policy = Policy(configured.grace_period, configured.remove_untagged, options["repository"])
        moment, counts = moment_at(clock.now(), policy.grace_period), {True: 0, False: 0}
        for repository in repositories(policy, with_kept=True):
            verdicts = Simulation.of(repository, moment, Throttle()).verdicts
            for tag, verdict in verdicts.items():
                counts[verdict.is_kept] += 1
                if options["gone"] and verdict.is_kept:
                    continue
                values = {"repository": repository.name, "tag": tag, "stays": verdict.is_kept, "reason": verdict.reason}
                line = f"{repository.name}:{tag} {'stays' if verdict.is_kept else 'goes'}: {verdict.reason}"
                self.stdout.write(json.dumps(values) if options["json"] else line)
        if not options["json"]:
            self.stdout.write(self._summary(counts))

    @staticmethod
    def _summary(counts: dict[bool, int]) -> str:
        if not sum(counts.values()):
            has_policies = Retention.objects.exists()
            return "No tags: no retention policy holds for them." if has_policies else "There is no retention policy."
        return f"{counted(counts[False], 'tag')} would go, {counted(counts[True], 'tag')} would stay"
