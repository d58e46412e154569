"""Register the app and keep the triggers of the rights epoch in place."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    """Who is this?"""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what must hold after every migration."""
        post_migrate.connect(_watch, sender=self, dispatch_uid="accounts.epoch")


def _watch(**kwargs: Any) -> None:
    from accounts import epoch

    using = kwargs["using"]
    epoch.ensure(using)
    epoch.watch(using, "accounts_account", ("name", "password", "is_active", "is_staff", "is_superuser"))
    epoch.watch(using, "accounts_account_groups")
    epoch.watch(using, "auth_group", ("name",))
