"""The JSON of runs and findings."""

from typing import Any

from rest_framework import serializers

from api.json_body import TextField
from api.paging import NumberedQuery
from collector.dry_run.results import Kind
from collector.models import Run, RunFinding, State, Trigger
from core.durations import format_duration


class RunsQuery(NumberedQuery):
    state = serializers.ChoiceField(State.choices, default=None, allow_null=True)
    is_dry_run = serializers.BooleanField(allow_null=True, default=None)


class PolicySerializer(serializers.Serializer[Any]):
    """A run to request; what is left out is as configured."""

    is_dry_run = serializers.BooleanField(required=False, help_text="Change nothing; list what would be removed.")
    remove_untagged = serializers.BooleanField(required=False, help_text="Remove untagged manifests too.")
    grace_period = TextField(
        required=False, max_length=100, help_text='Keep what was used within this time, as "24h" or "90m".'
    )
    repository = TextField(
        required=False, allow_blank=True, max_length=255, help_text='A pattern as "team/*"; empty: all repositories.'
    )


class RunSerializer(serializers.Serializer[Run]):
    """A run; while it is running, its counts grow."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(State.choices)
    trigger = serializers.ChoiceField(Trigger.choices)
    started_by = TextField(help_text="Empty: the schedule.")
    started_at = serializers.DateTimeField(help_text="Until it begins: when it was requested.")
    ended_at = serializers.DateTimeField(allow_null=True)
    is_dry_run = serializers.BooleanField()
    remove_untagged = serializers.BooleanField()
    grace_period = serializers.SerializerMethodField()
    repository = TextField()
    tags = serializers.IntegerField(help_text="That no retention policy keeps.")
    manifests = serializers.IntegerField(help_text="Removed; of a dry run: would be removed.")
    links = serializers.IntegerField()
    blobs = serializers.IntegerField()
    uploads = serializers.IntegerField()
    objects_deleted = serializers.IntegerField()
    freed_bytes = serializers.IntegerField()
    later_bytes = serializers.IntegerField(help_text="Of what nothing references, within its grace period.")
    busy = serializers.IntegerField(help_text="Rows in use, left for the next run.")
    failures = serializers.IntegerField()
    error = TextField()

    def get_grace_period(self, run: Run) -> str:
        return format_duration(run.grace_period)


class FindingsQuery(NumberedQuery):
    kind = serializers.ChoiceField([(kind.value, kind.value) for kind in Kind], default=None, allow_null=True)


class FindingSerializer(serializers.Serializer[RunFinding]):
    """One thing that a dry run would have removed."""

    id = serializers.IntegerField()
    kind = TextField()
    repository = TextField()
    name = TextField(help_text="A tag, a digest, the id of an upload, or the key of an object.")
    size = serializers.IntegerField(help_text="Of a blob, in bytes.")
    reason = TextField()
