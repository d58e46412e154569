"""The app, which has a command and no tables."""

from django.apps import AppConfig


class StorageCopyConfig(AppConfig):
    """The copy of a storage into another."""

    name = "storage_copy"
