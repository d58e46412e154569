"""Register the app and its system checks."""

from django.apps import AppConfig


class RegistryProjectConfig(AppConfig):
    """Join the apps into one server."""

    name = "registry_project"
    verbose_name = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from registry_project import checks  # noqa: F401 - importing it is what registers them
