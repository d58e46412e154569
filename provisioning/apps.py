"""Register the app."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "provisioning"
    # The package that first had these tables: a new label would need new tables and migrations.
    label = "registry_project"
    verbose_name = "registry"
    default_auto_field = "django.db.models.BigAutoField"
