"""Register the app, which has commands and no tables."""

from django.apps import AppConfig


class BackupConfig(AppConfig):
    """Make and restore backups."""

    name = "backup"
