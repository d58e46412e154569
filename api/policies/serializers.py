"""The JSON of policies, made of their columns."""

from typing import Any

from django.db import models
from rest_framework import serializers

from api.json_body import TextField
from core.durations import MAX_CHARACTERS as DURATION_CHARACTERS
from core.durations import format_duration
from policies.globs import MAX_CHARACTERS, GlobsField
from policies.models import Policy


class GlobsListField(serializers.ListField):
    """Globs, which a policy stores with spaces between."""

    child = TextField(max_length=MAX_CHARACTERS)

    def to_representation(self, data: Any) -> list[str]:
        return data.split() if isinstance(data, str) else list(data)


class DurationTextField(TextField):
    """A duration as the configuration file has it."""

    def to_representation(self, value: Any) -> str:
        return value if isinstance(value, str) else format_duration(value)


def serializer_of(kind: type[Policy]) -> type[serializers.Serializer[Policy]]:
    """Return the serializer of a kind."""
    fields = {name: _field(kind._meta.get_field(name)) for name in kind.entered}
    made = {
        "__doc__": kind.__doc__,
        "id": serializers.IntegerField(read_only=True),
        **fields,
        "sentence": serializers.CharField(read_only=True, help_text="The policy in words."),
        "created_at": serializers.DateTimeField(read_only=True),
    }
    return type(f"{kind.__name__}Serializer", (serializers.Serializer,), made)


def _field(column: Any) -> serializers.Field[Any, Any, Any, Any]:
    """Return the field of a column: a list of globs, a boolean, a number, a duration or a string."""
    is_required = not column.has_default() and not column.blank
    shared: dict[str, Any] = {"required": is_required, "help_text": str(column.help_text)}
    if not is_required:
        shared["default"] = column.get_default()
    if isinstance(column, GlobsField):
        more: dict[str, Any] = {} if is_required else {"default": []}
        return GlobsListField(**shared | more, allow_empty=column.blank, max_length=50)
    if isinstance(column, models.BooleanField):
        return serializers.BooleanField(**shared)
    if column.choices:
        return serializers.ChoiceField(column.choices, **shared)
    if isinstance(column, models.IntegerField):
        return serializers.IntegerField(**shared, min_value=0, allow_null=column.null)
    if isinstance(column, models.DurationField):
        return DurationTextField(**shared, max_length=DURATION_CHARACTERS, allow_null=column.null)
    return TextField(**shared, max_length=column.max_length, allow_blank=column.blank)
