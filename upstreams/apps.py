"""Register the app, and the triggers of the permissions version on proxies."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class UpstreamsConfig(AppConfig):
    """Pull-through caches."""

    name = "upstreams"
    verbose_name = "Proxies"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self, dispatch_uid="upstreams.permissions_version")


def _watch(**kwargs: Any) -> None:
    from accounts import permissions_version

    permissions_version.watch(kwargs["using"], "upstreams_proxy")
