"""`manage.py explain`: why an account may do something with a repository, or not."""

import sys
from argparse import ArgumentParser
from difflib import get_close_matches
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import permissions_version
from accounts.identity import Identity, identity_named
from accounts.models import Account
from acl import actions, grants
from acl.names import InvalidNameError, parse_name
from acl.networks import is_address


class Command(BaseCommand):
    """Print a decision, and the rules that allow it or come close."""

    requires_migrations_checks = True
    help = (
        "Explain whether an account may pull, push or delete in a repository: by which rule, or which rules come "
        "close. Without an address, no rule for a network allows anything, and each denies. Exit status 1: it may not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments; `manage.py` has read --config already."""
        parser.add_argument("account", metavar="ACCOUNT", help="The account's name; anonymous: who is not signed in.")
        parser.add_argument("repository", metavar="REPOSITORY", help="The repository, as myorg/app.")
        parser.add_argument("action", metavar="ACTION", choices=sorted(actions.CONCRETE), help="pull, push or delete.")
        parser.add_argument("--tag", metavar="TAG", help="The tag to push or delete; default: any.")
        parser.add_argument("--address", default="", metavar="ADDRESS", help="The client's address; default: unknown.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the explanation."""
        version = permissions_version.current()
        try:
            name = parse_name(options["repository"])
        except InvalidNameError as error:
            raise CommandError(str(error)) from error
        if (address := options["address"]) and not is_address(address):
            raise CommandError(f"{address!a} is no IP address")
        identity, tag = _identity(options["account"], version), options["tag"]
        explanation = grants.explain(identity, name, options["action"], version, tag=tag, address=address)
        self.stdout.write(str(explanation))
        if not explanation.is_allowed:
            sys.exit(1)


def _identity(name: str, version: str) -> Identity:
    identity = identity_named(name, version)
    if identity is not None:
        return identity
    if Account.objects.filter(name=name).exists():
        raise CommandError(f"the account {name} is deactivated, so it may do nothing, not even what anonymous may")
    near = get_close_matches(name, Account.objects.values_list("name", flat=True), n=1)
    raise CommandError(f"there is no account {name!a}" + (f"; did you mean {near[0]}?" if near else ""))
