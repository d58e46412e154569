"""Tags in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import deletion, tags
from distribution.admin import cells, totals
from distribution.admin.deleting import DeletedByVerbAdmin, reason
from distribution.models import Tag


@admin.register(Tag)
class TagAdmin(DeletedByVerbAdmin):
    """Tags, by repository."""

    list_display = ("name", "in_repository", "digest", "media_type", "size", "updated_at")
    sortable_by = ()
    # The columns of the index that keeps a tag once in a repository.
    ordering = ("repository_id", "name")
    linked_filters = ("repository__id__exact",)
    search_fields = ("repository__name__contains", "name__contains")
    search_help_text = "part of a repository or tag"
    fields = ("name", "in_repository", "digest", "media_type", "size", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Return tags with repository and manifest, less the manifest's bytes."""
        rows: QuerySet[Tag] = super().get_queryset(request).select_related("repository", "manifest")
        rows = deletion.in_sight(rows)
        rows = rows.annotate(blob_bytes=totals.blob_bytes("manifest"))
        return rows.defer("manifest__payload", "manifest__annotations")

    @admin.display(description="repository")
    def in_repository(self, tag: Tag) -> str:
        """Lead to the repository."""
        return cells.page_link(tag.repository, tag.repository.name)

    @admin.display(description="manifest")
    def digest(self, tag: Tag) -> str:
        """Lead to the manifest."""
        return cells.page_link(tag.manifest, cells.short(tag.manifest.digest))

    @admin.display(description="media type")
    def media_type(self, tag: Tag) -> str:
        """Say what the manifest is."""
        return cells.short_type(tag.manifest.media_type)

    @admin.display(description="size")
    def size(self, tag: Any) -> str:
        """Say the size of the manifest with its blobs."""
        return cells.size(tag.manifest.size + tag.blob_bytes)

    def delete_by_verb(self, row: Tag) -> None:
        """Delete the tag; its manifest stays."""
        tags.delete(RepositoryName(row.repository.name), row.name)

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete all of `rows` in one transaction: there may be thousands, and nothing keeps a tag."""
        entries = [self.entry_of(request, row) for row in rows]
        try:
            tags.delete_rows([row.pk for row in rows])
        except RegistryError as error:
            return [f"{entry.change_message} is still there: {reason(error)}" for entry in entries]
        self.record(request, entries)
        return []

    def name_of(self, row: Tag) -> str:
        """Name the tag in its repository."""
        return f"{row.repository.name}:{row.name}"
