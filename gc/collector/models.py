"""The tables of the collector: leases, runs, the findings of dry runs, and the progress of the scrub."""

import uuid
from typing import ClassVar

from django.db import models


class Job(models.TextChoices):
    """A job that one process at a time does."""

    COLLECTION = "collection", "collection"
    EXPIRY = "reaping", "reaping"
    SCRUBBING = "scrubbing", "scrubbing"
    BACKUP = "backup", "backup"


class Lease(models.Model):
    """The exclusive right of one process to do a job, until the job ends or the heartbeat stops."""

    job = models.CharField(max_length=16, primary_key=True, choices=Job.choices)
    holder = models.CharField(max_length=255, help_text="host and process")
    token = models.UUIDField(default=uuid.uuid4)
    taken_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.job


class Trigger(models.TextChoices):
    """What started a run."""

    SCHEDULE = "schedule", "schedule"
    COMMAND = "command", "command line"
    ADMIN = "admin", "admin"


class State(models.TextChoices):
    """The state of a run."""

    REQUESTED = "requested", "requested"
    WITHDRAWN = "withdrawn", "withdrawn"
    RUNNING = "running", "running"
    DONE = "done", "done"
    STOPPED = "stopped", "stopped early"
    FAILED = "failed", "failed"


class Run(models.Model):
    """One run of the collector: its trigger, policy, times, and what it removed."""

    started_at = models.DateTimeField(db_index=True, help_text="until it begins: when it was asked for")
    ended_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    trigger = models.CharField(max_length=16, choices=Trigger.choices)
    started_by = models.CharField(max_length=128, blank=True, help_text="empty: the schedule")
    is_dry_run = models.BooleanField("dry run", default=False, db_default=False, help_text="changes nothing")
    grace_period = models.DurationField()
    remove_untagged = models.BooleanField()
    repository = models.CharField(max_length=255, blank=True, help_text="a pattern; empty: all of them")
    # Without a constraint: a pruned plan lists nothing, so a run that waits for it removes nothing. A reference set to
    # NULL instead would make it an ordinary run.
    plan = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="applications",
        help_text="the dry run whose findings alone are removed",
    )
    tags = models.BigIntegerField(default=0, db_default=0, help_text="that no retention policy keeps")
    manifests = models.BigIntegerField(default=0)
    links = models.BigIntegerField(default=0)
    blobs = models.BigIntegerField(default=0)
    uploads = models.BigIntegerField(default=0)
    objects_deleted = models.BigIntegerField(default=0)
    freed_bytes = models.BigIntegerField(default=0, help_text="bytes of the blobs removed")
    later_bytes = models.BigIntegerField(default=0, help_text="bytes that nothing holds, within their grace period")
    busy = models.BigIntegerField(default=0, help_text="rows in use, left for the next run")
    failures = models.BigIntegerField(default=0, help_text="rows that could not be removed")
    error = models.TextField(blank=True)

    class Meta:
        """Newest first; the index finds the few requested runs among many that ended."""

        ordering: ClassVar[list[str]] = ["-started_at", "-id"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["state", "started_at"], name="gc_run_state")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S} UTC"


class RunFinding(models.Model):
    """One thing that a dry run would have removed, and why."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="findings")
    kind = models.CharField(max_length=16)
    repository = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, help_text="a tag, a digest, the id of an upload or the key of an object")
    size = models.BigIntegerField(help_text="bytes of a blob")
    reason = models.TextField()
    row_id = models.BigIntegerField(null=True, help_text="primary key of the tag, the manifest or the link")
    is_excluded = models.BooleanField(
        "excluded", default=False, db_default=False, help_text="kept when the plan is applied"
    )

    class Meta:
        verbose_name = "finding"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Scrub(models.Model):
    """The progress of the scrub: one row, whose `position` goes through the blobs by primary key."""

    position = models.BigIntegerField(default=0, help_text="primary key of the blob that was read last")
    reached_at = models.DateTimeField(help_text="when that blob was to be read")
    began_at = models.DateTimeField("round began at")
    checked = models.BigIntegerField(default=0, help_text="blobs read in this round")
    corrupt = models.BigIntegerField(default=0, help_text="of them, with other bytes than their digest says")
    failures = models.BigIntegerField(default=0, help_text="of them, could not be read to the end: the log says why")
    rounds = models.BigIntegerField(default=0, help_text="rounds that ended")

    class Meta:
        verbose_name_plural = "scrub"

    def __str__(self) -> str:
        return f"round {self.rounds + 1}"
