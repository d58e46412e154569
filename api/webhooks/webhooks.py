"""`/api/v1/webhooks`; a change counts from the next request on, in every process."""

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api import change_log, etags
from api.administration import AdministrationView, permissions_on
from api.paging import NumberedQuery, page_of, parameters, rows_page
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
from webhooks import queue
from webhooks.forms import WebhookForm
from webhooks.models import Delivery, Webhook

_CHANGES = {"GET": ("webhooks.view_delivery",), "POST": ("webhooks.change_webhook",)}


class WebhooksView(AdministrationView):
    permissions = permissions_on("webhooks.webhook")

    @extend_schema(
        operation_id="list_webhooks", parameters=[NumberedQuery], responses=page_of(WebhookSerializer, "Webhooks")
    )
    def get(self, request: Request) -> Response:
        """List the webhooks, by id."""
        query = parameters(NumberedQuery, request)
        rows = Webhook.objects.filter(pk__gt=query["after"] or 0).order_by("pk")
        return rows_page(request, rows, query["limit"], "pk", _represented)

    @extend_schema(operation_id="create_webhook", request=WebhookSerializer, responses={201: WebhookSerializer})
    def post(self, request: Request) -> Response:
        """Create a webhook; its secret is never shown again."""
        given = WebhookSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            hook = _saved(Webhook(), given.validated_data)
            made = _represented(hook)
            change_log.record(request, hook, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse("api:webhook", args=[hook.pk]))


class WebhookView(AdministrationView):
    permissions = permissions_on("webhooks.webhook")

    @extend_schema(operation_id="get_webhook", responses={200: WebhookSerializer, 304: None})
    def get(self, request: Request, webhook_id: int) -> Response:
        """Return a webhook, without its secret."""
        return etags.answer(request, _represented(_found(webhook_id)))

    @extend_schema(
        operation_id="update_webhook",
        request=WebhookSerializer(partial=True),
        responses={200: WebhookSerializer, 412: None},
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        """Change a webhook; fields that are left out stay. A replaced secret signs too for 24 hours."""
        given = WebhookSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            hook = _found(webhook_id, is_locked=True)
            now = _represented(hook)
            etags.require_match(request, etags.etag_of(now))
            hook = _saved(hook, now | given.validated_data)
            after = _represented(hook)
            what = "Changed by the API, with a new secret." if "secret" in request.data else "Changed by the API."
            change_log.record(request, hook, CHANGE, what, before=now, after=after)
        return etags.answer(request, after)

    @extend_schema(operation_id="delete_webhook", responses={204: None, 412: None})
    def delete(self, request: Request, webhook_id: int) -> Response:
        """Delete a webhook with its deliveries, those that wait too."""
        with transaction.atomic():
            hook = _found(webhook_id, is_locked=True)
            etags.require_match(request, etags.etag_of(_represented(hook)))
            change_log.record(request, hook, DELETION, "Deleted by the API.")
            hook.delete()
        return Response(status=204)


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


def _found(webhook_id: int, *, is_locked: bool = False) -> Webhook:
    rows = Webhook.objects.select_for_update() if is_locked else Webhook.objects.all()
    hook = rows.filter(pk=webhook_id).first()
    if hook is None:
        raise NotFound
    return hook


def _saved(hook: Webhook, values: Mapping[str, Any]) -> Webhook:
    """Save the webhook as the admin does. Raises ValidationError with what is wrong with each field."""
    form = WebhookForm(dict(values), instance=hook)
    if not form.is_valid():
        raise ValidationError({field: [str(text) for text in texts] for field, texts in form.errors.items()})
    saved: Webhook = form.save()
    return saved


def _represented(hook: Webhook) -> dict[str, Any]:
    return dict(WebhookSerializer(hook).data)


def _delivery(row: Delivery) -> dict[str, Any]:
    return dict(DeliverySerializer(row).data)
