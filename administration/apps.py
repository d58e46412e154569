"""Register the app."""

from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    """Pages for administrators."""

    name = "administration"
