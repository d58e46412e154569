"""Webhooks, the state of their deliveries, and the outbox.

Webhook ── WebhookState      what an administrator sets, and what the deliverer writes, in tables of their own:
   └─────< Delivery          a change of the first replaces the permissions version, by which processes cache it
"""

from datetime import timedelta
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from acl.models import validate_pattern
from core.db import clock
from core.outgoing import addresses
from webhooks import sealing
from webhooks.kinds import CHOSEN, DEFAULT, Envelope, EventKind, State

BYTE_ORDER = "BINARY"
ROTATION = timedelta(hours=24)
"""How long a replaced secret signs too."""

URL_CHARACTERS = 2000


def default_events() -> list[str]:
    return [kind.value for kind in DEFAULT]


def validate_events(events: object) -> None:
    """Raise ValidationError unless `events` is a list of kinds, each once."""
    known = [kind.value for kind in CHOSEN]
    if not isinstance(events, list) or not events or len(set(map(str, events))) < len(events):
        raise ValidationError(f"Events are a list of {', '.join(known)}, each once, at least one.")
    if wrong := [event for event in events if event not in known]:
        raise ValidationError(f"{wrong[0]!a} is no kind of event: {', '.join(known)}.")


class Webhook(models.Model):
    """A service that is told of events."""

    name = models.SlugField(max_length=64, unique=True, help_text="Letters, digits, _ and -.")
    url = models.CharField("URL", max_length=URL_CHARACTERS, help_text="Where events are sent, by POST.")
    envelope = models.CharField("format", max_length=16, choices=Envelope, default=Envelope.DISTRIBUTION)
    events = models.JSONField(default=default_events, validators=[validate_events])
    repositories = models.CharField(
        max_length=255,
        default="*",
        validators=[validate_pattern],
        help_text="A name or a glob: * matches any run of characters, / included; ? one; [abc] one of these.",
    )
    is_active = models.BooleanField(
        "enabled", default=True, help_text="Without it no event is stored for this webhook, and none is sent."
    )
    allow_http = models.BooleanField("http:// allowed", default=False, help_text="The URL may be without TLS.")
    allow_private = models.BooleanField(
        "private addresses allowed",
        default=False,
        help_text="The URL may lead to a private network or to this machine; link-local addresses never.",
    )
    sealed_secret = models.BinaryField()
    sealed_previous_secret = models.BinaryField(null=True)
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for a URL that no event may be sent to."""
        try:
            addresses.check_url(self.url, allow_http=self.allow_http, allow_private=self.allow_private)
        except addresses.RefusedAddressError as error:
            raise ValidationError({"url": str(error)}) from error

    def set_secret(self, secret: str) -> None:
        """Replace the secret; the one so far signs too for ROTATION."""
        if self.sealed_secret:
            self.sealed_previous_secret, self.previous_secret_until = self.sealed_secret, clock.now() + ROTATION
        self.sealed_secret = sealing.seal(secret)


class WebhookState(models.Model):
    """What became of the deliveries of a webhook; the row is made with the first one."""

    # No constraint: the deliverer must not fail because the webhook is being deleted.
    webhook = models.OneToOneField(
        Webhook, models.CASCADE, primary_key=True, related_name="delivery_state", db_constraint=False
    )
    delivered = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0, help_text="attempts")
    dropped = models.BigIntegerField(default=0, help_text="events that were not delivered in time")
    failures_in_a_row = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="while it is failing")
    delivered_at = models.DateTimeField("last delivery", null=True, blank=True)
    failed_at = models.DateTimeField("last failure", null=True, blank=True)
    error = models.CharField("last error", max_length=255, blank=True)

    class Meta:
        default_permissions = ()


class Delivery(models.Model):
    """An event for one webhook: a row of the outbox; the key is its sequence number."""

    # No constraint: a push must not fail because the webhook is being deleted. `queue` removes what is left.
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_constraint=False, db_index=False)
    repository = models.CharField(max_length=255, db_collation=BYTE_ORDER)
    kind = models.CharField("event", max_length=32, choices=EventKind)
    event_id = models.CharField(max_length=36)
    facts = models.TextField(help_text="of the event, in JSON")
    created_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="when it was delivered or dropped")
    outcome = models.CharField(max_length=255, blank=True, help_text="of the last attempt")
    response = models.TextField(blank=True, help_text="the head and the first bytes of the last response")

    class Meta:
        default_permissions = ("view", "change")
        verbose_name_plural = "deliveries"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["webhook", "repository", "id"], name="webhooks_pending", condition=Q(state=State.PENDING)
            ),
            models.Index(fields=["webhook", "id"], name="webhooks_by_webhook"),
            models.Index(fields=["ended_at"], name="webhooks_ended", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class DeliveryLease(models.Model):
    """One row: the process that delivers."""

    token = models.CharField(max_length=36)
    holder = models.CharField(max_length=255)
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(pk=1), name="webhooks_one_lease")
        ]

    def __str__(self) -> str:
        return self.holder
