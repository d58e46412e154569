"""Counts and sums for a list's columns, as subqueries: computed only for the rows of one page."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from core.admin.declared_filters import DeclaredFiltersList
from core.sizes import size_text
from distribution.manifests.sizes import sizes_of
from distribution.models import Tag


def count(rows: QuerySet[Any]) -> Coalesce:
    """Return the number of the outer repository's `rows`."""
    of_one = rows.filter(repository=OuterRef("pk")).order_by().values("repository")
    total = of_one.annotate(total=Count("pk")).values("total")
    return Coalesce(Subquery(total), 0, output_field=BigIntegerField())


class SizedList(DeclaredFiltersList):
    """A list of manifests or tags that knows the sizes of all its rows by a few statements."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        sizes = sizes_of([_manifest_of(row) for row in rows])
        for row in rows:
            row.image_bytes = sizes.get(_manifest_of(row))
        self.result_list: Any = rows


def size_of(row: Any) -> str:
    """Return the size of a tag's or a manifest's image, of an index with its children; "-" if it was not added up."""
    manifest = _manifest_of(row)
    total = row.image_bytes if hasattr(row, "image_bytes") else sizes_of([manifest]).get(manifest)
    return "-" if total is None else size_text(total)


def _manifest_of(row: Any) -> int:
    return int(row.manifest_id if isinstance(row, Tag) else row.pk)
