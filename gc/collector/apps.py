"""Register the app: tables are called `gc_*` and the command is `manage.py gc`."""

from django.apps import AppConfig


class CollectorConfig(AppConfig):
    """Delete what nothing references."""

    name = "collector"
    label = "gc"
    verbose_name = "Garbage collection"
    default_auto_field = "django.db.models.BigAutoField"
