"""The app, which has a command and no tables."""

from django.apps import AppConfig


class DatabaseCopyConfig(AppConfig):
    """The copy of a database into another."""

    name = "database_copy"
