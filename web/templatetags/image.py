"""Filters of the pages of an image."""

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()


@register.filter
def built(text: str) -> str | SafeString:
    """Return a time that a pusher claims in UTC, and how long ago it was; anything but a past time as it is."""
    try:
        claimed = datetime.fromisoformat(text)
        at = claimed.astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    now = timezone.now()
    # Builds that are reproducible claim 1970 or the year 1.
    if claimed.tzinfo is None or at.year <= 1970 or at > now:
        return text
    shown, ago = f"{at:%Y-%m-%d %H:%M} UTC", timesince(at, now, depth=1)
    return format_html('<time datetime="{}">{}</time>, {} ago', at.isoformat(), shown, ago)
