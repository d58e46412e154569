"""`manage.py audit`: print events."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from audit import export, queries
from audit.kinds import Kind
from audit.models import Event
from core.api.notes import ANONYMOUS_NAME
from core.db import clock
from core.durations import InvalidDurationError, parse_duration


class Command(BaseCommand):
    """Print the events of a time span, oldest first."""

    requires_migrations_checks = True
    help = "Print audit events: who did what, when, from where, with what credential. The oldest comes first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--account", metavar="A", help=f"Only of this account; {ANONYMOUS_NAME}: of none.")
        parser.add_argument("--repository", metavar="R", help="Only about this repository.")
        parser.add_argument("--kind", choices=Kind.values, metavar="K", help=f"Only this: {', '.join(Kind.values)}.")
        parser.add_argument(
            "--since", type=_span, default=timedelta(days=1), metavar="SPAN", help='As "7d" or "90m" (default: 24h).'
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON object on each line.")
        parser.add_argument("--config", metavar="FILE", help="The configuration file of the registry.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the events."""
        account = "" if options["account"] == ANONYMOUS_NAME else options["account"]
        since = clock.now() - options["since"]
        search = queries.Search(options["kind"], account, options["repository"], since=since)
        for event in queries.in_batches(queries.find(search), is_newest_first=False):
            self.stdout.write(json.dumps(export.values(event)) if options["json"] else _line(event))


def _line(event: Event) -> str:
    """Return the event in one line; what a client chose can't move the terminal's cursor."""
    who = event.account or ("" if event.credential == "command" else ANONYMOUS_NAME)
    parts = (
        *(f"{event.at:%Y-%m-%d %H:%M:%S}Z", event.get_kind_display(), who),
        event.address and f"from {event.address}",
        event.credential and f"by {event.credential}",
        *(event.repository, event.reference, event.digest if event.digest != event.reference else "", event.detail),
        event.count > 1 and f"({event.count} times)",
    )
    text = "  ".join(str(part) for part in parts if part)
    return "".join(character if character.isprintable() else "?" for character in text)


def _span(text: str) -> timedelta:
    if days := re.fullmatch(r"([0-9]{1,5})d", text):
        return timedelta(days=int(days[1]))
    try:
        return parse_duration(text)
    except InvalidDurationError as error:
        raise ArgumentTypeError(str(error)) from error
