"""A column of durations, entered as in the configuration file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from core.durations import InvalidDurationError, format_duration, parse_duration

MIN_DURATION = timedelta(minutes=1)
"""As in the configuration file."""


class _DurationFormField(forms.CharField):
    def prepare_value(self, value: Any) -> Any:
        return format_duration(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> Any:
        if value in (None, "") or isinstance(value, timedelta):
            return value or None
        try:
            return parse_duration(str(value).strip())
        except InvalidDurationError as error:
            raise ValidationError(f"{error}.") from error


class DurationField(models.DurationField):  # type: ignore[type-arg]  # generic in the stubs only
    """A duration of at least MIN_DURATION, entered as "720h"."""

    def formfield(self, *args: Any, **options: Any) -> Any:
        return models.Field.formfield(self, *args, **{"form_class": _DurationFormField} | options)

    def validate(self, value: Any, model_instance: Any) -> None:
        super().validate(value, model_instance)
        if value is not None and value < MIN_DURATION:
            raise ValidationError('A duration as "720h", at least "1m".')

    @staticmethod
    def in_file(value: timedelta) -> str:
        """Return the duration as the configuration file has it."""
        return format_duration(value)
