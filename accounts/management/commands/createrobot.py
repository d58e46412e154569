"""`manage.py createrobot`: make an account for a machine."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import robots
from audit.kinds import Kind
from audit.recording import record
from core.command_errors import explained


class Command(BaseCommand):
    """Make a robot."""

    requires_migrations_checks = True
    help = (
        "Make a robot: an account without a password, whose access tokens the members of a group manage. "
        "`manage.py createtoken NAME` makes its first one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", required=True, metavar="GROUP", help="the group whose members manage it")
        parser.add_argument(
            "--group",
            action="append",
            default=[],
            metavar="GROUP",
            help="a group of the robot, for rules about this group; may be repeated",
        )
        parser.add_argument("--config", metavar="FILE", help="the configuration file to run with")

    def handle(self, *args: Any, **options: Any) -> None:
        with explained():
            owner, *groups = [_group(name) for name in (options["owner"], *options["group"])]
            try:
                robot = robots.create(options["name"], owner, groups)
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        about = f"added: a robot of the group {owner.name}"
        record(Kind.CHANGE, None, credential="command", reference=f"account {robot}", detail=about)
        self.stdout.write(f"Made {robot}, a robot of the group {owner.name}.")


def _group(name: str) -> Group:
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise CommandError(f"There is no group {name}.")
    return group
