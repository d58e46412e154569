"""Register the app and its system checks."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class RegistryAdminConfig(SimpleAdminConfig):
    """Django's admin with a second factor at login."""

    default = False
    default_site = "accounts.login.site.RegistryAdminSite"


class RegistryProjectConfig(AppConfig):
    """Registers the system checks."""

    name = "registry_project"
    label = "registry_checks"
    default = True

    def ready(self) -> None:
        """Register the system checks."""
        from registry_project import checks  # noqa: F401 - the import registers them
