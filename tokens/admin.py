"""Logins that clients keep: who, from where, since when; and their end."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core.admin.bulk_deletion import BulkDeletionAdmin
from tokens import refresh
from tokens.models import RefreshToken


@admin.register(RefreshToken)
class RefreshTokenAdmin(BulkDeletionAdmin):
    """Refresh tokens can be looked at and revoked; what they hold can't be seen, made or edited."""

    list_display = ("account", "client_id", "address", "created_at", "used_at", "is_good")
    list_filter = ("client_id", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("account", "address")
    fields = ("account", "client_id", "address", "created_at", "used_at", "revoked_at")
    readonly_fields = fields
    actions = ("revoke",)

    @admin.display(boolean=True, description="good")
    def is_good(self, row: RefreshToken) -> bool:
        """Tell whether it was not revoked."""
        return row.revoked_at is None

    @admin.action(description="Revoke: the client has to log in again", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[RefreshToken]) -> None:
        """End the chosen logins."""
        count = refresh.revoke(list(queryset.values_list("pk", flat=True)))
        messages.success(request, f"{count} revoked. Tokens that they gave out run out by themselves.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a login makes them."""
        return False
