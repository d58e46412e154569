"""`manage.py sendwebhooks`: deliver events beside the server, continuously or once."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from webhooks.deliverer import Deliverer


class Command(BaseCommand):
    """Deliver events to webhooks."""

    help = (
        "Deliver the events that webhooks wait for. The server does so by itself; any number of processes may run, and "
        "one delivers at a time."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")
        parser.add_argument(
            "--once", action="store_true", help="Deliver what is due, then exit; what fails is left to the next call."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Deliver until the process ends, or what is due now."""
        deliverer = Deliverer()
        if options["once"]:
            if not deliverer.run_once():
                self.stderr.write("another process delivers, or there is no webhook")
            return
        is_stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: is_stopped.set())
        deliverer.run_until(is_stopped.is_set)
        deliverer.end()
