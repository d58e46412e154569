"""Refresh tokens and access tokens in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from audit.kinds import Kind
from audit.recording import record
from core.admin.bulk_deletion import BulkDeletionAdmin
from core.admin.flag_filter import FlagFilter
from core.db import clock
from tokens import refresh
from tokens.access import store
from tokens.models import AccessToken, RefreshToken


class GoodFilter(FlagFilter):
    title = "good"
    parameter_name = "good"
    condition = Q(revoked_at=None)


@admin.register(RefreshToken)
class RefreshTokenAdmin(BulkDeletionAdmin):
    """Refresh tokens: shown and revoked, never added or edited."""

    list_display = ("account", "client_id", "address", "created_at", "used_at", "is_good")
    list_filter = ("client_id", GoodFilter)
    search_fields = ("account", "address")
    fields = ("account", "client_id", "address", "created_at", "used_at", "revoked_at")
    readonly_fields = fields
    actions = ("revoke",)

    @admin.display(boolean=True, description="good")
    def is_good(self, row: RefreshToken) -> bool:
        return row.revoked_at is None

    @admin.action(description="Revoke: the client has to log in again", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[RefreshToken]) -> None:
        rows = list(queryset.filter(revoked_at__isnull=True).values_list("pk", "account", "client_id", "address"))
        count = refresh.revoke([pk for pk, *_ in rows])
        for _, account, client, address in rows:
            about = {"account": request.user.get_username(), "credential": "session", "reference": f"account {account}"}
            record(Kind.LOGIN_REVOKED, request, **about, detail=f"the login of {client or 'a client'} from {address}")
        messages.success(request, f"{count} revoked. Access tokens that they have issued expire by themselves.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(AccessToken)
class AccessTokenAdmin(BulkDeletionAdmin):
    """Access tokens: shown and revoked. They are made by their account, or by `manage.py createtoken`."""

    list_display = ("account", "name", "limited_to", "created_at", "expires_at", "used_at", "used_from", "is_good")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("account__name", "name")
    fields = (
        *("account", "name", "limited_to", "created_at", "created_by", "expires_at"),
        *("used_at", "used_from", "revoked_at"),
    )
    readonly_fields = fields
    list_select_related = ("account",)
    actions = ("revoke",)

    @admin.display(description="limited to")
    def limited_to(self, row: AccessToken) -> str:
        return ", ".join(row.scopes) or "nothing: all that the account may"

    @admin.display(boolean=True, description="good")
    def is_good(self, row: AccessToken) -> bool:
        return row.revoked_at is None and row.expires_at > clock.now()

    @admin.action(description="Revoke: requests with it are refused at once", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        messages.success(request, f"{store.revoke(queryset)} revoked.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
