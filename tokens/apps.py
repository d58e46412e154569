"""Register the app, and the triggers of the permissions version on access tokens."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TokensConfig(AppConfig):
    name = "tokens"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self, dispatch_uid="tokens.permissions_version")


def _watch(**kwargs: Any) -> None:
    from accounts import permissions_version

    # Not `used_at`, which each use may change.
    permissions_version.watch(
        kwargs["using"], "tokens_accesstoken", ("revoked_at", "expires_at", "scopes", "account_id")
    )
