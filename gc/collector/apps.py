"""The app `gc`: tables `gc_*`, command `manage.py gc`."""

from django.apps import AppConfig


class CollectorConfig(AppConfig):
    """Garbage collection."""

    name = "collector"
    label = "gc"
    verbose_name = "Garbage collection"
    default_auto_field = "django.db.models.BigAutoField"
