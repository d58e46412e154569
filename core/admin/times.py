"""Times of the admin: with their zone, and how long ago beside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.contrib.admin import display
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import DateTimeField, Model
from django.db.models.options import Options
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

NO_BREAK = "\N{NO-BREAK SPACE}"
_MOMENT = '<time class="moment" datetime="{}">{} <span>{}</span></time>'


def moment(at: datetime) -> SafeString:
    """Return a time as HTML: `2026-11-30 10:00:00 UTC`, and `3 hours ago`."""
    date, _, clock = date_format(localtime(at), "DATETIME_FORMAT").partition(" ")
    # Lines break between the date and the clock.
    written = f"{date} {clock.replace(' ', NO_BREAK)}"
    return format_html(_MOMENT, at.isoformat(), written, naturaltime(at))


def with_moments(opts: Options[Any], names: Iterable[Any], left: Collection[str] = ()) -> list[Any]:
    """Return the columns of a list, or the fields of a page, with functions for the model's times but `left`."""
    times = {field.name for field in opts.get_fields() if isinstance(field, DateTimeField)} - set(left)
    return [_column(opts, name) if isinstance(name, str) and name in times else name for name in names]


@lru_cache
def _column(opts: Options[Any], name: str) -> Callable[[Model], SafeString | None]:
    """Return one and the same function for a field: the admin compares the fields of a page with its read-only ones."""

    @display(description=str(opts.get_field(name).verbose_name), ordering=name)  # type: ignore[union-attr]
    def column(row: Model) -> SafeString | None:
        at = getattr(row, name)
        return None if at is None else moment(at)

    column.__name__ = name
    return column
