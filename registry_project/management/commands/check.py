"""`manage.py check`: problems of the configuration, and values with a surprising effect."""

from typing import Any

from django.conf import settings
from django.core.checks import Warning, register  # noqa: A004 - Django's name for it
from django.core.management.commands import check


class Command(check.Command):
    """Django's `check`, with the configuration file and its warnings."""

    help = "Check the configuration file; with --deploy, name each weak setting and what to do."

    def handle(self, *app_labels: Any, **options: Any) -> None:
        """Print the configuration file and the results."""
        # Registered here only: a start prints the warnings itself, and other commands do not.
        register(lambda **_kwargs: [Warning(warning, id="registry.W003") for warning in settings.REGISTRY.warnings])
        self.stdout.write(f"configuration: {settings.REGISTRY.path or 'no file, so all is as by default'}")
        super().handle(*app_labels, **options)
