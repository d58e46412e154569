"""`manage.py configschema`: the JSON Schema of the configuration file, for editors."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from configuration.models import FILE, FileSchema


class Command(BaseCommand):
    help = "Print the JSON Schema of the configuration file, by which an editor checks and completes it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(FILE.json_schema(schema_generator=FileSchema), indent=2))
