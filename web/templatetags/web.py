"""Filters of the pages: sizes, times, digests, and the command that pulls an image."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from core.sizes import size_text
from web.contents import MOST_COUNTED
from web.image import Image

SHORT_CHARACTERS = 12
_HELM = "application/vnd.cncf.helm.config.v1+json"

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
    utc, ago = at.astimezone(UTC), timesince(at, timezone.now(), depth=1)
    title = f"{utc:%Y-%m-%d %H:%M} UTC"
    return format_html('<time datetime="{}" title="{}">{} ago</time>', utc.isoformat(), title, ago)


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


@register.filter
def kind(image: Image) -> str:
    """Return what a manifest is, in words."""
    if image.is_index:
        return "image for several platforms" if any(child.platform for child in image.children) else "index"
    if image.artifact_type == _HELM:
        return "Helm chart"
    return "image" if image.platform else image.artifact_type or "artifact"


@register.filter
def pull_command(image: Image, target: str) -> str:
    """Return the command that fetches it, for the client that its kind is for."""
    what = kind(image)
    if what == "Helm chart":
        name, _, version = target.partition("@")[0].rpartition(":")
        return (
            f"helm pull oci://{name} --version {version}"
            if name and "/" not in version
            else f"helm pull oci://{target}"
        )
    return f"docker pull {target}" if what.startswith("image") else f"oras pull {target}"
