"""Register the app."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    """Bring users and rules of the configuration file into the database."""

    name = "provisioning"
    # Of the package that these tables were first made in: another label would be other tables, and other migrations.
    label = "registry_project"
    verbose_name = "registry"
    default_auto_field = "django.db.models.BigAutoField"
