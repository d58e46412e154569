"""Register the app."""

from django.apps import AppConfig


class IdentityProvidersConfig(AppConfig):
    name = "identity_providers"
    default_auto_field = "django.db.models.BigAutoField"
