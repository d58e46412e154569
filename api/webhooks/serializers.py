"""The JSON of webhooks and their deliveries; a secret is only ever taken."""

from typing import Any

from rest_framework import serializers

from api.json_body import TextField
from api.paging import NumberedQuery
from configuration.webhooks.headers import MAX_CHARACTERS
from webhooks import queue, sealing
from webhooks.kinds import CHOSEN, Envelope, State
from webhooks.models import CA_CHARACTERS, URL_CHARACTERS, Delivery, Webhook

_OF_STATE = (
    "delivered",
    "failed",
    "dropped",
    "failures_in_a_row",
    "failing_since",
    "delivered_at",
    "failed_at",
    "error",
)


class DeliveriesQuery(NumberedQuery):
    state = serializers.ChoiceField(State.choices, default=None, allow_null=True)
    repository = TextField(max_length=255, default=None, allow_null=True, help_text="Exactly this repository.")


class WebhookSerializer(serializers.Serializer[Webhook]):
    """A service that is told of events."""

    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=64, help_text="Letters, digits, _ and -.")
    url = TextField(max_length=URL_CHARACTERS)
    envelope = serializers.ChoiceField(Envelope.choices, required=False, default=Envelope.DISTRIBUTION.value)
    events = serializers.ListField(
        child=serializers.ChoiceField([(kind.value, kind.label) for kind in CHOSEN]), allow_empty=False, max_length=20
    )
    repositories = TextField(max_length=255, required=False, default="*", help_text="A name or a glob.")
    is_active = serializers.BooleanField(required=False, default=True)
    allow_http = serializers.BooleanField(required=False, default=False)
    allow_private = serializers.BooleanField(required=False, default=False)
    ca = TextField(
        max_length=CA_CHARACTERS,
        required=False,
        allow_blank=True,
        default="",
        help_text="Certificates in PEM, of which that of the receiver has to be; empty: those of the system.",
    )
    headers = serializers.DictField(
        child=TextField(max_length=MAX_CHARACTERS, allow_null=True),
        write_only=True,
        required=False,
        help_text="Headers to set beside those that there are; null takes one away.",
    )
    header_names = serializers.ListField(child=serializers.CharField(), read_only=True)
    origin = serializers.CharField(read_only=True, help_text="Where it is from: the configuration file or the admin.")
    secret = TextField(
        max_length=sealing.MAX_CHARACTERS, write_only=True, required=False, help_text="Required for a new webhook."
    )
    created_at = serializers.DateTimeField(read_only=True)


class WebhookStateSerializer(serializers.Serializer[Any]):
    """What became of the deliveries of a webhook; numbers of attempts, but `dropped`: events."""

    pending = serializers.IntegerField()
    delivered = serializers.IntegerField()
    failed = serializers.IntegerField()
    dropped = serializers.IntegerField()
    failures_in_a_row = serializers.IntegerField()
    failing_since = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)


class DeliverySerializer(serializers.Serializer[Delivery]):
    """An event for one webhook."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    repository = serializers.CharField()
    event_id = serializers.CharField()
    state = serializers.ChoiceField(State.choices)
    attempts = serializers.IntegerField()
    outcome = serializers.CharField(help_text="Of the last attempt.")
    response = serializers.CharField(help_text="The head and the first bytes of the last response.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class ReplaySerializer(serializers.Serializer[Any]):
    """The first and the last id to send again; without them everything that has ended and is kept."""

    first = serializers.IntegerField(required=False, min_value=0, default=None, allow_null=True)
    last = serializers.IntegerField(required=False, min_value=0, default=None, allow_null=True)


class ReplayedSerializer(serializers.Serializer[Any]):
    replayed = serializers.IntegerField(help_text="Events that are sent again.")


class TestedSerializer(serializers.Serializer[Any]):
    event_id = serializers.CharField(help_text="Of the test event, whose delivery has the answer.")


def state_of(hook: Webhook) -> dict[str, Any]:
    """Return the state of a webhook, zeros before its first delivery."""
    state = queue.state_of(hook)
    empty: dict[str, Any] = {"error": "", "failing_since": None, "delivered_at": None, "failed_at": None}
    values = {name: getattr(state, name) if state else empty.get(name, 0) for name in _OF_STATE}
    return dict(WebhookStateSerializer({"pending": queue.pending_count(hook.pk), **values}).data)
