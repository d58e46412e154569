"""Register the app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The JSON API for management."""

    name = "api"
