"""HTML for the values of lists and pages; everything from clients is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Model
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SHORT_CHARACTERS = 12
LISTED = 100


def size(count: int) -> str:
    """Return a number of bytes as text: "1.5 MB"."""
    return filesizeformat(count)


def short(digest: str) -> str:
    """Return the beginning of a digest."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:SHORT_CHARACTERS]}"


def short_type(media_type: str) -> str:
    """Return a media type without its common prefix."""
    return media_type.removeprefix("application/vnd.")


def page_link(row: Model, text: str) -> SafeString:
    return _link(_url(type(row), "change", row.pk), text)


def list_link(model: type[Model], repository_id: int, text: str) -> SafeString:
    """Return a link to the list of a repository's rows of `model`."""
    return _link(f"{_url(model, 'changelist')}?repository__id__exact={repository_id}", text)


def lines(values: Iterable[str]) -> SafeString:
    """Return up to LISTED values, one a line, and an ellipsis when there are more."""
    shown = list(values)
    if not shown:
        return SafeString("none")
    more = [("…",)] if len(shown) > LISTED else []
    return format_html_join(SafeString("<br>"), "{}", [(value,) for value in shown[:LISTED]] + more)


def json_text(value: Any) -> SafeString:
    """Return a JSON value, indented, as preformatted text."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)


def _url(model: type[Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:distribution_{model.__name__.lower()}_{page}", args=arguments)


def _link(url: str, text: str) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', url, text)
