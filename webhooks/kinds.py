"""The kinds of events and the envelopes in which they are sent; the values are stored."""

from django.db.models import TextChoices


class EventKind(TextChoices):
    """What happened in a repository."""

    MANIFEST_PUSH = "manifest.push", "manifest pushed"
    TAG_MOVE = "tag.move", "tag moved without a push"
    TAG_DELETE = "tag.delete", "tag deleted"
    MANIFEST_DELETE = "manifest.delete", "manifest deleted"
    REPOSITORY_DELETE = "repository.delete", "repository deleted"
    BLOB_PUSH = "blob.push", "blob pushed"
    BLOB_MOUNT = "blob.mount", "blob mounted"
    BLOB_DELETE = "blob.delete", "blob deleted"
    MANIFEST_PULL = "manifest.pull", "manifest pulled"
    BLOB_PULL = "blob.pull", "blob pulled"
    TEST = "test", "test"


CHOSEN = tuple(kind for kind in EventKind if kind is not EventKind.TEST)
"""The kinds that a webhook may ask for."""

DEFAULT = (
    EventKind.MANIFEST_PUSH,
    EventKind.TAG_MOVE,
    EventKind.TAG_DELETE,
    EventKind.MANIFEST_DELETE,
    EventKind.REPOSITORY_DELETE,
)


class Envelope(TextChoices):
    """The format of a request."""

    DISTRIBUTION = "distribution", "distribution's notifications"
    CLOUDEVENTS = "cloudevents", "CloudEvents 1.0"


class State(TextChoices):
    """The state of a delivery."""

    PENDING = "pending", "pending"
    DELIVERED = "delivered", "delivered"
    DROPPED = "dropped", "dropped"
