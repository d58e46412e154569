"""Repositories in the admin."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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
from core.sizes import size_text
from distribution import deletion
from distribution.admin import cells, totals
from distribution.admin.deletable import DeletableAdmin
from distribution.models import Link, Manifest, Repository, Tag
from distribution.storage import trash

REMOVAL_SECONDS = 1.0


@admin.register(Repository)
class RepositoryAdmin(DeletableAdmin):
    """Repositories, with links to their tags and manifests; the only field to edit is `keeps_untagged`."""

    list_display = ("name", "tag_count", "manifest_count", "keeps_untagged", "created_at")
    list_filter = ("keeps_untagged",)
    sortable_by = ("name",)
    ordering = ("name",)
    search_fields = ("name__contains",)
    search_help_text = "part of a name"
    fields = ("name", "keeps_untagged", "tag_count", "manifest_count", "stored", "created_at")
    readonly_fields = ("name", "tag_count", "manifest_count", "stored", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Repository]:
        rows: QuerySet[Repository] = super().get_queryset(request)
        return deletion.without_hidden(rows)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return totals.CountedList

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return DjangoModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Update the one editable field: a concurrent push or deletion owns the rest of the row."""
        assert isinstance(obj, Repository)  # noqa: S101 - tells the type
        Repository.objects.filter(pk=obj.pk).update(keeps_untagged=obj.keeps_untagged)

    def delete_row(self, row: Repository, account: str, *, is_overridden: bool = False) -> None:
        """Hide the repository from clients."""
        deletion.begin(RepositoryName(row.name), account=account, is_overridden=is_overridden)

    def tags_of(self, row: Repository) -> Iterable[str]:
        return Tag.objects.filter(repository=row).values_list("name", flat=True).iterator()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        super().delete_model(request, obj)
        _remove_contents_briefly()

    def delete_rows(self, request: HttpRequest, rows: list[Any]) -> list[str]:
        reasons = super().delete_rows(request, rows)
        _remove_contents_briefly()
        return reasons

    def describe(self, row: Repository) -> str:
        contents = deletion.contents(row.pk)
        own, shared = size_text(contents.own_bytes), size_text(contents.shared_bytes)
        rows = f"{contents.tags} tags and {contents.manifests} manifests"
        return f"{row.name} with {rows}, {own} of its own and {shared} that other repositories share"

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Add the time at which the space is freed."""
        named, counts, lacking, protected = super().get_deleted_objects(objs, request)
        minutes = trash.DELAY // timedelta(minutes=1)
        when = f"The space of its own blobs is freed about {minutes} minutes later; shared blobs stay with the others."
        return [*named, when], counts, lacking, protected

    @admin.display(description="tags")
    def tag_count(self, repository: Any) -> str:
        return cells.list_link(Tag, repository.pk, _counts_of(repository)[0])

    @admin.display(description="manifests")
    def manifest_count(self, repository: Any) -> str:
        return cells.list_link(Manifest, repository.pk, _counts_of(repository)[1])

    @admin.display(description="blobs")
    def stored(self, repository: Repository) -> str:
        """Count the blobs and their bytes; a shared blob counts in each of its repositories."""
        found = Link.objects.filter(repository=repository).aggregate(count=Count("pk"), size=Sum("blob__size"))
        return f"{found['count']}, {size_text(found['size'] or 0)}"


def _counts_of(repository: Any) -> tuple[str, str]:
    """Return the numbers of tags and manifests, which a list has read for all its rows."""
    known = getattr(repository, "counts", None) or totals.counts_of([repository.pk]).get(repository.pk)
    return known or ("0", "0")


def _remove_contents_briefly() -> None:
    """Remove the contents of hidden repositories for REMOVAL_SECONDS; a background job removes the rest."""
    ends_at = time.monotonic() + REMOVAL_SECONDS
    # The job also waits for a busy database.
    with suppress(RegistryError):
        for repository in deletion.unfinished():
            removed = deletion.steps(repository.pk)
            while time.monotonic() < ends_at and next(removed, None):
                pass
