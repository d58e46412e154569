"""The scrub, in words."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Max
from django.http import HttpRequest

from collector.admin.read_only import ReadOnlyAdmin
from collector.models import Scrub
from core.durations import format_duration
from distribution.models import Blob


@admin.register(Scrub)
class ScrubAdmin(ReadOnlyAdmin):
    """The progress of the scrub."""

    empty_text = "No round has begun yet"
    list_display = ("__str__", "began_at", "reached_at", "checked", "corrupt", "failures", "rounds")
    list_before_template: Any = "admin/gc/scrub/words.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add what the scrub does, and where it is."""
        row, period = Scrub.objects.first(), settings.REGISTRY.storage.scrub
        last = Blob.objects.aggregate(last=Max("pk"))["last"] or 0
        reached = min(100, 100 * row.position // last) if row is not None and last else 0
        shown = {"row": row, "percent": reached, "period": None if period is None else format_duration(period)}
        shown["corrupt"] = Blob.objects.filter(is_corrupt=True).count()
        context = {"scrub": shown}
        return super().changelist_view(request, context | (extra_context or {}))
