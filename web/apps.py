"""Register the app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """The pages for everybody."""

    name = "web"
