"""The table of events.

A key is the time of its event, in microseconds since 1970, and the number of the process that recorded it:

    key = microseconds * 1024 + process

So the order of the keys is that of the times: one index serves a page, a time span and the removal of old rows. And a
batch whose COMMIT was not acknowledged can be written again.
"""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.db import models

from audit.kinds import Kind

PROCESSES = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def first_key(at: datetime) -> int:
    """Return the smallest key of an event at `at` or later."""
    return (at - _EPOCH) // timedelta(microseconds=1) * PROCESSES


def time_of(key: int) -> datetime:
    """Return when the event with this key happened."""
    return _EPOCH + timedelta(microseconds=key // PROCESSES)


class Event(models.Model):
    """One event, or `count` alike within a minute."""

    id = models.BigIntegerField(primary_key=True, editable=False)
    at = models.DateTimeField("when", help_text="by the clock of the server")
    kind = models.CharField(max_length=32, choices=Kind)
    account = models.CharField(max_length=128, blank=True, help_text="empty: anonymous, or a command")
    address = models.CharField(max_length=64, blank=True, help_text="of the client; empty: a command")
    credential = models.CharField(max_length=128, blank=True, help_text="what proved the account")
    repository = models.CharField(max_length=255, blank=True)
    reference = models.CharField(max_length=255, blank=True, help_text="a tag or digest, or what was changed")
    digest = models.CharField(max_length=140, blank=True, db_collation="BINARY")
    detail = models.TextField(blank=True)
    request_id = models.CharField("request", max_length=128, blank=True, help_text="its id in the log")
    count = models.IntegerField(default=1, help_text="how often within a minute")

    class Meta:
        default_permissions = ("view",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["kind", "id"], name="audit_by_kind"),
            models.Index(fields=["account", "id"], name="audit_by_account"),
            models.Index(fields=["repository", "id"], name="audit_by_repository"),
            models.Index(fields=["address", "id"], name="audit_by_address"),
            models.Index(fields=["digest", "id"], name="audit_by_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} at {self.at:%Y-%m-%d %H:%M:%S}"
