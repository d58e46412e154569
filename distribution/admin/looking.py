"""Rows to be looked at: their lists stay quick when there are millions, and nothing is added or edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.admin.bulk_deletion import BulkDeletionAdmin


class ReadOnlyAdmin(BulkDeletionAdmin):
    """Lists and pages of rows that only pushes and pulls change.

    Lists are ordered by an index, count nothing but the page's own filter, and are sorted by indexes only.
    """

    list_per_page = 50
    show_full_result_count = False
    # Facets count the whole table once for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never, unless a verb does it (`deleting.DeletedByVerbAdmin`)."""
        return False
