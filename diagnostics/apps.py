"""Register the app."""

from django.apps import AppConfig


class DiagnosticsConfig(AppConfig):
    """The command `checkregistry`; no models."""

    name = "diagnostics"
