"""Register the app, and the triggers of the permissions version on every kind of policy."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PoliciesConfig(AppConfig):
    """What holds for repositories by glob."""

    name = "policies"
    verbose_name = "Policies"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self, dispatch_uid="policies.permissions_version")


def _watch(**kwargs: Any) -> None:
    from accounts import permissions_version
    from policies.kinds import KINDS

    for kind in KINDS:
        permissions_version.watch(kwargs["using"], kind._meta.db_table)  # noqa: SLF001 - Django documents it
