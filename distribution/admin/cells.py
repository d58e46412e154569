"""HTML for the values of lists and pages; everything from clients is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SHORT_CHARACTERS = 12
LISTED = 100

_LINK = '<a class="text-link" href="{}">{}</a>'


def short(digest: str) -> str:
    """Return the beginning of a digest."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:SHORT_CHARACTERS]}"


def short_type(media_type: str) -> str:
    """Return a media type without its common prefix."""
    return media_type.removeprefix("application/vnd.")


def page_link(row: Model, text: str) -> SafeString:
    """Return a link to the page of `row`."""
    return format_html(_LINK, reverse(f"admin:distribution_{type(row).__name__.lower()}_change", args=[row.pk]), text)


def list_link(model: type[Model], repository_id: int, text: str) -> SafeString:
    """Return a link to the list of a repository's rows of `model`."""
    url = reverse(f"admin:distribution_{model.__name__.lower()}_changelist")
    return format_html(_LINK, f"{url}?repository__id__exact={repository_id}", text)


def lines(values: Iterable[str]) -> SafeString:
    """Return up to LISTED values, one a line, and an ellipsis when there are more."""
    shown = list(values)
    if not shown:
        return SafeString("none")
    more = [("…",)] if len(shown) > LISTED else []
    return format_html_join(SafeString("<br>"), "{}", [(value,) for value in shown[:LISTED]] + more)


def page_links(rows: QuerySet[Any]) -> SafeString:
    """Return links to up to LISTED rows, one a line, and an ellipsis when there are more."""
    return lines(page_link(row, str(row)) for row in rows[: LISTED + 1])


def json_text(value: Any) -> SafeString:
    """Return a JSON value, indented, as preformatted text."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)
