"""Register the app, the triggers of the permissions version, and the receiver of the login signal."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts.login_log import store_last_login

        post_migrate.connect(_watch, sender=self, dispatch_uid="accounts.permissions_version")
        # With Django's own receiver a login fails while the database can't be written.
        user_logged_in.disconnect(dispatch_uid="update_last_login")
        user_logged_in.connect(store_last_login, dispatch_uid="accounts.last_login")


def _watch(**kwargs: Any) -> None:
    from accounts import permissions_version

    using = kwargs["using"]
    permissions_version.ensure(using)
    columns = ("name", "password", "is_active", "is_staff", "is_superuser", "is_robot", "owner_id")
    permissions_version.watch(using, "accounts_account", columns)
    permissions_version.watch(using, "accounts_account_groups")
    permissions_version.watch(using, "auth_group", ("name",))
