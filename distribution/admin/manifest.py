"""Manifests in the admin."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest

from acl.names import RepositoryName
from core.admin.flag_filter import FlagFilter
from core.sizes import size_text
from distribution import deletion
from distribution.admin import cells, totals
from distribution.admin.deletable import DeletableAdmin
from distribution.manifests import store
from distribution.models import Link, Manifest, Tag
from distribution.protocol import spec
from distribution.protocol.digest import parse_digest

TAGS_SHOWN = 5


class MediaTypeFilter(admin.SimpleListFilter):
    """Filter by media type, with a fixed list of choices, which needs no query."""

    title = "media type"
    parameter_name = "media_type"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(media_type, cells.short_type(media_type)) for media_type in spec.MANIFEST_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Manifest]) -> QuerySet[Manifest]:
        return queryset.filter(media_type=self.value()) if self.value() else queryset


class TaggedFilter(admin.SimpleListFilter):
    """Manifests with or without a tag."""

    title = "tags"
    parameter_name = "tagged"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("yes", "tagged"), ("no", "untagged")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Manifest]) -> QuerySet[Manifest]:
        is_tagged = Exists(Tag.objects.filter(manifest=OuterRef("pk")))
        if self.value() == "yes":
            return queryset.filter(is_tagged)
        return queryset.exclude(is_tagged) if self.value() == "no" else queryset


class InUseFilter(FlagFilter):
    title = "in use"
    parameter_name = "in_use"
    condition = Q(is_unreferenced=False)


@admin.register(Manifest)
class ManifestAdmin(DeletableAdmin):
    """Manifests and indexes, newest first, with their references."""

    list_display = ("short_digest", "in_repository", "tag_names", "kind", "human_size", "is_in_use", "created_at")
    list_filter = (MediaTypeFilter, TaggedFilter, InUseFilter)
    linked_filters = ("repository__id__exact",)
    sortable_by = ()
    ordering = ("-pk",)
    search_fields = ("digest__contains", "repository__name__contains")
    search_help_text = "part of a digest or repository"
    fieldsets = (
        (None, {"fields": ("digest", "in_repository", "media_type", "human_size", "all_tags", "created_at")}),
        ("References", {"fields": ("subject", "artifact_type", "children_listed", "blobs_listed")}),
        ("Referenced by", {"fields": ("is_in_use", "parents_listed", "last_used_at")}),
        ("Content", {"fields": ("annotations_shown", "payload_shown")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Manifest]:
        """Return manifests with repository and first tags, without their bytes."""
        first = Prefetch("tags", Tag.objects.order_by("name")[: TAGS_SHOWN + 1], to_attr="first_tags")
        rows: QuerySet[Manifest] = super().get_queryset(request).select_related("repository").prefetch_related(first)
        return deletion.in_sight(rows).defer("payload", "annotations")

    @admin.display(description="tags")
    def tag_names(self, manifest: Any) -> str:
        names = [tag.name for tag in manifest.first_tags]
        return ", ".join(names[:TAGS_SHOWN]) + (", …" if len(names) > TAGS_SHOWN else "")

    @admin.display(description="media type")
    def kind(self, manifest: Manifest) -> str:
        return cells.short_type(manifest.media_type)

    @admin.display(description="size")
    def human_size(self, manifest: Any) -> str:
        return totals.size_of(manifest)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return totals.SizedList

    @admin.display(description="in use", boolean=True)
    def is_in_use(self, manifest: Manifest) -> bool:
        return not manifest.is_unreferenced

    @admin.display(description="tags")
    def all_tags(self, manifest: Manifest) -> str:
        return cells.page_links(manifest.tags.order_by("name"))

    @admin.display(description="manifests that it lists")
    def children_listed(self, manifest: Manifest) -> str:
        return cells.page_links(Manifest.objects.filter(parents__parent=manifest).only("digest").order_by("pk"))

    @admin.display(description="blobs")
    def blobs_listed(self, manifest: Manifest) -> str:
        rows = Link.objects.filter(uses__manifest=manifest).select_related("blob").order_by("pk")
        return cells.lines(
            cells.page_link(link.blob, f"{link.blob.digest}, {size_text(link.blob.size)}")
            for link in rows[: cells.LISTED + 1]
        )

    @admin.display(description="indexes that list it")
    def parents_listed(self, manifest: Manifest) -> str:
        return cells.page_links(Manifest.objects.filter(children__child=manifest).only("digest").order_by("pk"))

    @admin.display(description="annotations")
    def annotations_shown(self, manifest: Manifest) -> str:
        return cells.json_text(manifest.annotations)

    @admin.display(description="payload")
    def payload_shown(self, manifest: Manifest) -> str:
        """Show the manifest, indented; its digest is that of the original bytes."""
        return cells.json_text(json.loads(bytes(manifest.payload)))

    def delete_row(self, row: Manifest, account: str, *, is_overridden: bool = False) -> None:
        by: Any = {"account": account, "rules": None, "is_overridden": is_overridden}
        store.delete(RepositoryName(row.repository.name), parse_digest(row.digest), **by)

    def tags_of(self, row: Manifest) -> Iterable[str]:
        return Tag.objects.filter(manifest=row).values_list("name", flat=True).iterator()

    def describe(self, row: Any) -> str:
        name = f"{row.repository.name}@{row.digest}"
        names = self.tag_names(row)
        return f"{name} with its tags {names}" if names else name
