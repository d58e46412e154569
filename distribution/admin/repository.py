"""Repositories in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.db.models import Count, Model, QuerySet, Sum
from django.forms import Form
from django.http import HttpRequest

from distribution.admin import cells, totals
from distribution.admin.looking import LookedAtAdmin
from distribution.models import Link, Manifest, Repository, Tag


@admin.register(Repository)
class RepositoryAdmin(LookedAtAdmin):
    """Repositories, with ways to their tags and manifests; whether what is untagged stays may be changed."""

    list_display = ("name", "tag_count", "manifest_count", "keeps_untagged", "created_at")
    list_filter = ("keeps_untagged",)
    sortable_by = ("name",)
    ordering = ("name",)
    search_fields = ("name__contains",)
    search_help_text = "part of a name"
    fields = ("name", "keeps_untagged", "tag_count", "manifest_count", "stored", "created_at")
    readonly_fields = ("name", "tag_count", "manifest_count", "stored", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Repository]:
        """Return repositories, each with its counts: asked for the rows of a page only."""
        rows: QuerySet[Repository] = super().get_queryset(request)
        return rows.annotate(
            tag_total=totals.count(Tag.objects.all()), manifest_total=totals.count(Manifest.objects.all())
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return DjangoModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Write the one field that a person says: pushes write the others meanwhile."""
        obj.save(update_fields=["keeps_untagged"])

    @admin.display(description="tags")
    def tag_count(self, repository: Any) -> str:
        """Count the tags, and lead to them."""
        return cells.list_link(Tag, repository.pk, str(repository.tag_total))

    @admin.display(description="manifests")
    def manifest_count(self, repository: Any) -> str:
        """Count the manifests, and lead to them."""
        return cells.list_link(Manifest, repository.pk, str(repository.manifest_total))

    @admin.display(description="blobs")
    def stored(self, repository: Repository) -> str:
        """Say how many bytes its blobs have; what other repositories link too is counted in each."""
        found = Link.objects.filter(repository=repository).aggregate(count=Count("pk"), size=Sum("blob__size"))
        return f"{found['count']}, {cells.size(found['size'] or 0)}"
