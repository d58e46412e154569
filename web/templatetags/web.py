"""Filters of the pages: sizes, times, digests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from core.sizes import size_text
from web.contents import MOST_COUNTED

SHORT_CHARACTERS = 12

register = template.Library()


@register.filter(name="bytes")
def size(amount: int | None) -> str:
    """Return a size as text; None: it is not known."""
    return "—" if amount is None else size_text(amount)


@register.filter
def short_digest(reference: str) -> str:
    """Return the beginning of a digest; anything else as it is."""
    algorithm, separator, encoded = reference.partition(":")
    return f"{algorithm}:{encoded[:SHORT_CHARACTERS]}" if separator else reference


@register.filter
def moment(at: datetime) -> SafeString:
    """Return how long ago a time was, with the time in UTC as its title."""
    now = timezone.now()
    ago = f"{timesince(at, now, depth=1)} ago" if now - at >= timedelta(minutes=1) else "just now"
    utc = at.astimezone(UTC)
    title = f"{utc:%Y-%m-%d %H:%M} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), title, ago)


@register.filter
def tag_count(number: int) -> str:
    """Return a number of tags; they are counted up to MOST_COUNTED."""
    return f"more than {MOST_COUNTED}" if number > MOST_COUNTED else str(number)


@register.filter
def last_name(rows: Sequence[Any]) -> str:
    """Return the name that the next page begins after."""
    return str(rows[-1].name)


@register.simple_tag
def following(**parameters: str) -> str:
    """Return the query of the next page; empty parameters are left out."""
    return urlencode({name: value for name, value in parameters.items() if value})
