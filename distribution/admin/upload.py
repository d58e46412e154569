"""Uploads in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from core.sizes import size_text
from distribution import deletion
from distribution.admin.read_only import ReadOnlyAdmin
from distribution.models import Upload


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    """Upload sessions, the latest activity first."""

    list_display = ("id", "in_repository", "by", "received", "started_at", "active_at")
    sortable_by = ("active_at",)
    ordering = ("-active_at",)
    search_fields = ("repository__name__contains", "account")
    search_help_text = "part of a repository or account"
    fields = ("id", "in_repository", "by", "received", "algorithm", "started_at", "active_at", "leased_until")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upload]:
        return deletion.in_sight(super().get_queryset(request).select_related("repository"))

    @admin.display(description="account")
    def by(self, upload: Upload) -> str:
        return upload.account or "anonymous"

    @admin.display(description="received")
    def received(self, upload: Upload) -> str:
        return size_text(upload.offset)
