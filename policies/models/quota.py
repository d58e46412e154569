"""Quotas."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from core.sizes import counted, size_text
from policies.models.policy import Policy

MAX_TAGS = 10**9
"""As in the configuration file."""

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class _SizeFormField(forms.CharField):
    def prepare_value(self, value: Any) -> Any:
        return SizeField.in_file(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = str(value if value is not None else "").strip()
        if not text:
            return None
        number, unit = (text[:-3], text[-3:]) if text[-3:] in _UNITS else (text, "")
        try:
            return int(float(number) * _UNITS.get(unit, 1))
        except (ValueError, OverflowError) as error:
            raise ValidationError("A size as 10GiB or 500MiB.") from error


class SizeField(models.BigIntegerField):  # type: ignore[type-arg]  # generic in the stubs only
    """A size in bytes, entered with its unit."""

    def formfield(self, *args: Any, **options: Any) -> Any:
        return models.Field.formfield(self, *args, **{"form_class": _SizeFormField} | options)

    @staticmethod
    def in_file(value: int) -> str:
        """Return the size as the configuration file has it."""
        unit = next((unit for unit in ("TiB", "GiB", "MiB") if value % _UNITS[unit] == 0), "KiB")
        return f"{value // _UNITS[unit]}{unit}"


class Each(models.TextChoices):
    """What a quota counts together."""

    WHOLE = "whole", "all of these repositories together"
    REPOSITORY = "repository", "each repository by itself"
    NAMESPACE = "namespace", "each first part of a name by itself, as alice in alice/app"


class Quota(Policy):
    """How many bytes of blobs, each counted once, and how many tags repositories may have."""

    kind = "quotas"
    entered = ("repositories", "except_repositories", "each", "max_size", "max_tags", "comment")

    each = models.CharField("counted for", max_length=16, choices=Each.choices, default=Each.WHOLE)
    max_size = SizeField(null=True, blank=True, default=None, help_text="Bytes of blobs, as 10GiB; empty: no limit.")
    max_tags = models.IntegerField(
        null=True, blank=True, default=None, validators=[MinValueValidator(1)], help_text="Tags; empty: no limit."
    )

    class Meta(Policy.Meta):
        verbose_name = "quota"
        verbose_name_plural = "quotas"

    def clean(self) -> None:
        """Raise ValidationError without a limit, and for a size that the file can't have."""
        if self.max_size is None and self.max_tags is None:
            raise ValidationError({"max_size": "Limit the size, the tags, or both."})
        if self.max_tags is not None and self.max_tags > MAX_TAGS:
            raise ValidationError({"max_tags": f"At most {MAX_TAGS}."})
        if self.max_size is not None and (self.max_size < 1024 or self.max_size % 1024):
            raise ValidationError({"max_size": "A number of KiB, at least 1."})

    def sentence(self) -> str:
        limits = [size_text(self.max_size)] if self.max_size is not None else []
        limits += [counted(self.max_tags, "tag")] if self.max_tags is not None else []
        which: dict[str, str] = {
            Each.WHOLE: f"{self.scope} may have {{}} together",
            Each.REPOSITORY: f"each repository of {self.scope} may have {{}}",
            Each.NAMESPACE: f"each namespace of {self.scope} may have {{}}",
        }
        return which.get(self.each, "{}").format(" and ".join(limits))

    def glob_of(self, name: str) -> str:
        """Return what is counted together with the repository `name`: a name, a prefix with /, or "" for all."""
        if self.each == Each.REPOSITORY:
            return name
        return f"{name.partition('/')[0]}/" if self.each == Each.NAMESPACE else ""
