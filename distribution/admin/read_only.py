"""Read-only admin pages, whose lists stay fast with millions of rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.admin.bulk_deletion import BulkDeletionAdmin
from distribution.admin import cells, totals


class ReadOnlyAdmin(BulkDeletionAdmin):
    """Lists and pages of rows that only clients change.

    Lists are ordered and sorted by indexes only, and count only the rows of their filter.
    """

    list_per_page = 50
    paginator = totals.BoundedPaginator
    show_full_result_count = False
    # Facets count the whole table once for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description="digest")
    def short_digest(self, row: Any) -> str:
        return cells.short(row.digest)

    @admin.display(description="repository")
    def in_repository(self, row: Any) -> str:
        return cells.page_link(row.repository, row.repository.name)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
