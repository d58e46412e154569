"""Tags in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import deletion, tags
from distribution.admin import cells, totals
from distribution.admin.deletable import DeletableAdmin, reason_of
from distribution.models import Tag


@admin.register(Tag)
class TagAdmin(DeletableAdmin):
    """Tags, by repository."""

    list_display = ("name", "in_repository", "digest", "media_type", "size", "updated_at")
    sortable_by = ()
    # The columns of the unique index.
    ordering = ("repository_id", "name")
    linked_filters = ("repository__id__exact",)
    search_fields = ("repository__name__contains", "name__contains")
    search_help_text = "part of a repository or tag"
    fields = ("name", "in_repository", "digest", "media_type", "size", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Return tags with repository and manifest, without the manifest's bytes."""
        rows: QuerySet[Tag] = super().get_queryset(request).select_related("repository", "manifest")
        return deletion.in_sight(rows).defer("manifest__payload", "manifest__annotations")

    @admin.display(description="manifest")
    def digest(self, tag: Tag) -> str:
        return cells.page_link(tag.manifest, cells.short(tag.manifest.digest))

    @admin.display(description="media type")
    def media_type(self, tag: Tag) -> str:
        return cells.short_type(tag.manifest.media_type)

    @admin.display(description="size")
    def size(self, tag: Any) -> str:
        return totals.size_of(tag)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return totals.SizedList

    def delete_row(self, row: Tag, account: str, *, is_overridden: bool = False) -> None:
        by: Any = {"account": account, "rules": None, "is_overridden": is_overridden}
        tags.delete(RepositoryName(row.repository.name), row.name, **by)

    def tags_of(self, row: Tag) -> Iterable[str]:
        return [row.name]

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete all of `rows` in one transaction: there may be thousands, and nothing protects a tag."""
        entries = [(self.entry_of(request, row), row) for row in rows]
        try:
            tags.delete_rows([row.pk for row in rows], account=request.user.get_username())
        except RegistryError as error:
            return [f"{entry.change_message} is still there: {reason_of(error)}" for entry, _ in entries]
        self.record(request, entries)
        return []

    def describe(self, row: Tag) -> str:
        return f"{row.repository.name}:{row.name}"
