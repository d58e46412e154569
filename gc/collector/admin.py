"""The history of collection in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from collector.models import Run
from collector.report import size_text


@admin.register(Run)
class RunAdmin(ModelAdmin):
    """Runs, the last one first; to be looked at."""

    list_display = ("started_at", "state", "trigger", "started_by", "manifests", "blobs", "freed", "later", "failures")
    list_filter = ("state", "trigger")
    date_hierarchy = "started_at"
    list_per_page = 50
    sortable_by = ()

    @admin.display(description="freed")
    def freed(self, run: Run) -> str:
        """Say the bytes of the blobs that the run removed."""
        return size_text(run.freed_bytes)

    @admin.display(description="after grace")
    def later(self, run: Run) -> str:
        """Say the bytes that nothing held when the run ended."""
        return size_text(run.later_bytes)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: a run leaves its row itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
