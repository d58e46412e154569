"""The app, which has commands and no tables."""

from django.apps import AppConfig


class RegistryCopyConfig(AppConfig):
    """The copy of another registry's content, in and out."""

    name = "registry_copy"
