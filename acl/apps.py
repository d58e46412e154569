"""Register the app, and the triggers of the permissions version on rules."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AclConfig(AppConfig):
    """Access rules: which account may do what."""

    name = "acl"
    verbose_name = "Access rules"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self, dispatch_uid="acl.permissions_version")


def _watch(**kwargs: Any) -> None:
    from accounts import permissions_version

    permissions_version.watch(kwargs["using"], "acl_rule")
