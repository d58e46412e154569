"""Refresh tokens and access tokens in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.login_log import log_event
from audit.kinds import Kind
from audit.recording import record
from core.admin.bulk_deletion import BulkDeletionAdmin
from core.admin.flag_filter import FlagFilter
from core.db import clock
from tokens import refresh
from tokens.access import store
from tokens.models import AccessToken, RefreshToken
from tokens.workload.listing import trusted_issuers


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
        messages.success(request, f"{count} revoked. Bearer tokens that they have issued expire by themselves.")

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

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.issuers_view)
        return [path("issuers/", view, name="tokens_accesstoken_issuers"), *super().get_urls()]

    def issuers_view(self, request: HttpRequest) -> HttpResponse:
        """Show the trusted issuers of the configuration."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = {"title": "Trusted issuers", "issuers": trusted_issuers()}
        context = self.admin_site.each_context(request) | shown
        return TemplateResponse(request, "admin/tokens/accesstoken/issuers.html", context)

    @admin.display(description="limited to")
    def limited_to(self, row: AccessToken) -> str:
        return ", ".join(row.scopes) or "no limit"

    @admin.display(boolean=True, description="good")
    def is_good(self, row: AccessToken) -> bool:
        return row.revoked_at is None and row.expires_at > clock.now()

    @admin.action(description="Revoke: requests with it are refused at once", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        rows = list(queryset.filter(revoked_at=None).select_related("account"))
        count = store.revoke(queryset)
        for row in rows:
            log_event(request, row.account.name, f"access token {row.name} revoked", Kind.ACCESS_TOKEN)
        messages.success(request, f"{count} revoked.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
