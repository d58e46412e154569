"""Repositories in the admin."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.db.models import Count, Model, QuerySet, Sum
from django.forms import Form
from django.http import HttpRequest

from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import deletion
from distribution.admin import cells, totals
from distribution.admin.deleting import DeletedByVerbAdmin
from distribution.models import Link, Manifest, Repository, Tag
from distribution.storage import trash

MOMENT_SECONDS = 1.0


@admin.register(Repository)
class RepositoryAdmin(DeletedByVerbAdmin):
    """Repositories, with ways to their tags and manifests; they can be deleted, and may keep what is untagged."""

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
        rows: QuerySet[Repository] = deletion.without_hidden(super().get_queryset(request))
        return rows.annotate(
            tag_total=totals.count(Tag.objects.all()), manifest_total=totals.count(Manifest.objects.all())
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's permission."""
        return DjangoModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Write the one field that a person says: others write the rest, or remove the row."""
        assert isinstance(obj, Repository)  # noqa: S101 - tells the type
        Repository.objects.filter(pk=obj.pk).update(keeps_untagged=obj.keeps_untagged)

    def delete_by_verb(self, row: Repository) -> None:
        """Delete the repository for clients."""
        deletion.begin(RepositoryName(row.name))

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete one repository, and what it held as far as that takes no longer than a moment."""
        super().delete_model(request, obj)
        _go_on_for_a_moment()

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        """Delete several, and what they held as far as that takes no longer than a moment."""
        reasons = super().delete_rows(request, rows)
        _go_on_for_a_moment()
        return reasons

    def name_of(self, row: Repository) -> str:
        """Name the repository, and say what it holds."""
        held = deletion.contents(row.pk)
        own, shared = cells.size(held.own_bytes), cells.size(held.shared_bytes)
        rows = f"{held.tags} tags and {held.manifests} manifests"
        return f"{row.name} with {rows}, {own} of its own and {shared} that other repositories share"

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Say when the space comes back, too."""
        named, counts, lacking, protected = super().get_deleted_objects(objs, request)
        minutes = trash.DELAY // timedelta(minutes=1)
        when = f"Space of its own comes back about {minutes} minutes later; what is shared stays with the others."
        return [*named, when], counts, lacking, protected

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


def _go_on_for_a_moment() -> None:
    """Remove what deleted repositories held; a job beside the server does what is left."""
    ends_at = time.monotonic() + MOMENT_SECONDS
    # That the database is busy is for the job to wait for: clients see nothing of it any more.
    with suppress(RegistryError):
        for repository in deletion.unfinished():
            removed = deletion.steps(repository.pk)
            while time.monotonic() < ends_at and next(removed, None):
                pass
