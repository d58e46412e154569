"""Register the app and let every change of a rule change the rights epoch."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AclConfig(AppConfig):
    """May this account do it?"""

    name = "acl"
    verbose_name = "Access rules"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what must hold after every migration."""
        post_migrate.connect(_watch, sender=self, dispatch_uid="acl.epoch")


def _watch(**kwargs: Any) -> None:
    from accounts import epoch

    epoch.watch(kwargs["using"], "acl_rule")
