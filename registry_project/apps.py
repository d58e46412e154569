"""Register the app and its system checks."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class RegistryAdminConfig(SimpleAdminConfig):
    """Django's admin with a site that knows a second factor."""

    default = False
    default_site = "accounts.login.site.RegistryAdminSite"


class RegistryProjectConfig(AppConfig):
    """Join the apps into one server."""

    name = "registry_project"
    label = "registry_checks"
    default = True

    def ready(self) -> None:
        """Register the system checks."""
        from registry_project import checks  # noqa: F401 - importing it is what registers them
