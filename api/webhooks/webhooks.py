"""`/api/v1/webhooks`; a change counts from the next request on, in every process."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import AdministrationView, permissions_on
from api.paging import NumberedQuery, page_of, parameters, rows_page
from api.rows import RowsView
from api.webhooks.serializers import (
    DeliveriesQuery,
    DeliverySerializer,
    ReplayedSerializer,
    ReplaySerializer,
    TestedSerializer,
    WebhookSerializer,
    WebhookStateSerializer,
    state_of,
)
from provisioning import ledger
from provisioning.ledger import Origin
from provisioning.models import Section
from webhooks import queue
from webhooks.forms import WebhookForm
from webhooks.models import Delivery, Webhook

_CHANGES = {"GET": ("webhooks.view_delivery",), "POST": ("webhooks.change_webhook",)}


class _WebhookRowsView(RowsView):
    permissions = permissions_on("webhooks.webhook")
    model, serializer, address = Webhook, WebhookSerializer, "webhook"
    _origins: Mapping[int, Origin] | None = None
    """Of all rows, for a list."""

    def form_of(self, row: Webhook, values: Mapping[str, Any]) -> WebhookForm:
        return WebhookForm(dict(values), instance=row)

    def represented(self, row: Webhook) -> dict[str, Any]:
        known = self._origins if self._origins is not None else ledger.origins(Section.WEBHOOKS, [row.pk])
        row.origin = str(known.get(row.pk, Origin.ADMIN))  # type: ignore[attr-defined]  # for the serializer
        return super().represented(row)


class WebhooksView(_WebhookRowsView):
    @extend_schema(
        operation_id="list_webhooks", parameters=[NumberedQuery], responses=page_of(WebhookSerializer, "Webhooks")
    )
    def get(self, request: Request) -> Response:
        """List the webhooks, by id."""
        self._origins = ledger.origins(Section.WEBHOOKS)
        return self.listed(request, parameters(NumberedQuery, request))

    @extend_schema(operation_id="create_webhook", request=WebhookSerializer, responses={201: WebhookSerializer})
    def post(self, request: Request) -> Response:
        """Create a webhook; its secret is never shown again."""
        return self.created(request)


class WebhookView(_WebhookRowsView):
    @extend_schema(operation_id="get_webhook", responses={200: WebhookSerializer, 304: None})
    def get(self, request: Request, webhook_id: int) -> Response:
        """Return a webhook, without its secret."""
        return self.shown(request, webhook_id)

    @extend_schema(
        operation_id="update_webhook",
        request=WebhookSerializer(partial=True),
        responses={200: WebhookSerializer, 412: None},
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change a webhook; fields that are left out stay. A replaced secret signs too for 24 hours."""
        new = " and ".join(name for name in ("secret", "headers") if name in request.data)
        what = f"Changed by the API, with new {new}." if new else "Changed by the API."
        return self.changed(request, webhook_id, what)

    @extend_schema(operation_id="delete_webhook", responses={204: None, 412: None})
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete a webhook with its deliveries, those that wait too."""
        return self.deleted(request, webhook_id)


class WebhookStateView(AdministrationView):
    permissions = {"GET": ("webhooks.view_webhook",)}

    @extend_schema(operation_id="get_webhook_state", responses=WebhookStateSerializer)
    def get(self, request: Request, webhook_id: int) -> Response:
        """Tell what became of the deliveries of a webhook."""
        return Response(state_of(_found(webhook_id)))


class DeliveriesView(AdministrationView):
    permissions = _CHANGES

    @extend_schema(
        operation_id="list_deliveries",
        parameters=[DeliveriesQuery],
        responses=page_of(DeliverySerializer, "Deliveries"),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """List the deliveries of a webhook, newest first."""
        query = parameters(DeliveriesQuery, request)
        rows = Delivery.objects.filter(webhook=_found(webhook_id)).order_by("-pk")
        if query["after"] is not None:
            rows = rows.filter(pk__lt=query["after"])
        exact = {name: query[name] for name in ("state", "repository") if query[name] is not None}
        return rows_page(request, rows.filter(**exact), query["limit"], "pk", _delivery)


class ReplayView(AdministrationView):
    permissions = _CHANGES

    @extend_schema(operation_id="replay_deliveries", request=ReplaySerializer, responses={202: ReplayedSerializer})
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send deliveries again that have ended: one, a range, or all that are kept."""
        given = ReplaySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        rows = Delivery.objects.filter(webhook=_found(webhook_id))
        bounds = {"pk__gte": given.validated_data["first"], "pk__lte": given.validated_data["last"]}
        chosen = rows.filter(**{name: value for name, value in bounds.items() if value is not None})
        return Response({"replayed": queue.replay(chosen)}, status=202)


class WebhookTestView(AdministrationView):
    permissions = _CHANGES

    @extend_schema(operation_id="test_webhook", request=None, responses={202: TestedSerializer})
    def post(self, request: Request, webhook_id: int) -> Response:
        """Send a test event, once."""
        hook = _found(webhook_id)
        return Response({"event_id": queue.test(hook, request.user.get_username())}, status=202)


def _found(webhook_id: int) -> Webhook:
    hook = Webhook.objects.filter(pk=webhook_id).first()
    if hook is None:
        raise NotFound
    return hook


def _delivery(row: Delivery) -> dict[str, Any]:
    return dict(DeliverySerializer(row).data)
