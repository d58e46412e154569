"""Webhooks and their deliveries in the admin: state, replay, test."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from administration.origin import OriginAdmin, OriginFilter
from core.admin.declared_filters import DeclaredFiltersAdmin
from core.sizes import counted
from provisioning.models import Section
from webhooks import envelope, post, queue
from webhooks.forms import FIELDS, WebhookForm
from webhooks.models import Delivery, Webhook

MOST_COUNTED = 10_000


@admin.register(Webhook)
class WebhookAdmin(OriginAdmin):
    """Webhooks; a change counts from the next request on, in every process."""

    section = Section.WEBHOOKS
    form = WebhookForm
    # What doesn't fit on a screen is on the page of the webhook.
    list_display = ("name", "url", "is_active", "is_working", "pending", "last_delivery", "origin")
    list_filter = ("is_active", "envelope", OriginFilter)
    search_fields = ("name", "url")
    readonly_fields = ("header_names", "last_error", "origin")
    actions: Any = ("send_test", "enable", "disable", "restore")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return super().get_queryset(request).select_related("delivery_state")

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        given = (*FIELDS, "secret", "headers") if self.has_change_permission(request, obj) or obj is None else FIELDS
        return given if obj is None else (*given, *self.readonly_fields)

    @admin.display(description="headers that are set")
    def header_names(self, hook: Webhook) -> str:
        return ", ".join(hook.header_names) or "none"

    @admin.display(boolean=True, description="working")
    def is_working(self, hook: Webhook) -> bool | None:
        state = queue.state_of(hook)
        return None if state is None else state.failing_since is None

    @admin.display(description="pending")
    def pending(self, hook: Webhook) -> int:
        return queue.pending_count(hook.pk, MOST_COUNTED)

    @admin.display(description="last delivery")
    def last_delivery(self, hook: Webhook) -> Any:
        state = queue.state_of(hook)
        return None if state is None else state.delivered_at

    @admin.display(description="last error")
    def last_error(self, hook: Webhook) -> str | None:
        state = queue.state_of(hook)
        return None if state is None else state.error or None

    @admin.action(description="Send a test event", permissions=["change"])
    def send_test(self, request: HttpRequest, rows: QuerySet[Webhook]) -> None:
        active = list(rows.filter(is_active=True))
        for hook in active:
            queue.test(hook, request.user.get_username())
        messages.success(request, f"{counted(len(active), 'test event')} queued: the deliveries show the answer.")

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, rows: QuerySet[Webhook]) -> None:
        self._switch(request, rows, is_active=True)

    @admin.action(description="Disable: no event is stored or sent", permissions=["change"])
    def disable(self, request: HttpRequest, rows: QuerySet[Webhook]) -> None:
        self._switch(request, rows, is_active=False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Webhook], *, is_active: bool) -> None:
        changed = list(rows.exclude(is_active=is_active))
        rows.update(is_active=is_active)
        for hook in changed:
            self.log_change(request, hook, "enabled" if is_active else "disabled")
        messages.success(request, f"{counted(len(changed), 'webhook')} {'enabled' if is_active else 'disabled'}.")


@admin.register(Delivery)
class DeliveryAdmin(DeclaredFiltersAdmin):
    """Deliveries, with the request and the head of the last response; those that ended can be sent again."""

    list_display = ("id", "webhook", "kind", "repository", "state", "attempts", "outcome", "created_at", "ended_at")
    list_filter = ("state", "webhook", "kind")
    list_select_related = ("webhook",)
    list_per_page = 50
    sortable_by = ()
    ordering = ("-id",)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("repository", "event_id")
    fields = (
        *("webhook", "kind", "repository", "event_id", "state", "attempts", "outcome"),
        *("created_at", "next_attempt_at", "ended_at", "request_shown", "response"),
    )
    readonly_fields = fields
    actions: Any = ("replay",)

    @admin.display(description="request")
    def request_shown(self, row: Delivery) -> str:
        """Show the request without its signature and the values of headers, which no page repeats."""
        hidden = dict.fromkeys(row.webhook.header_names, "(not shown)")
        sent = post.headers_of(row.webhook, row) | hidden
        headers = "\n".join(f"{name}: {value}" for name, value in sent.items())
        body = json.dumps(json.loads(envelope.body_of(row, row.webhook.envelope)), indent=1)
        return f"POST {row.webhook.url}\n{headers}\n\n{body}"

    @admin.action(description="Replay: send again what has ended", permissions=["change"])
    def replay(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        if not self.has_change_permission(request):
            raise PermissionDenied
        count = queue.replay(Delivery.objects.filter(pk__in=list(rows.values_list("pk", flat=True))))
        messages.success(request, f"{counted(count, 'event')} will be sent again, the oldest first.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
