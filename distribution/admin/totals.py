"""Counts and sums for a list's columns, as subqueries: computed only for the rows of one page."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from distribution.models import ManifestBlob


def count(rows: QuerySet[Any]) -> Coalesce:
    """Return the number of the outer repository's `rows`."""
    of_one = rows.filter(repository=OuterRef("pk")).order_by().values("repository")
    total = of_one.annotate(total=Count("pk")).values("total")
    return Coalesce(Subquery(total), 0, output_field=BigIntegerField())


def blob_bytes(manifest: str) -> Coalesce:
    """Return the size of a manifest's blobs in all; `manifest` is the outer row's path to its key."""
    of_one = ManifestBlob.objects.filter(manifest=OuterRef(manifest)).order_by().values("manifest")
    total = of_one.annotate(total=Sum("link__blob__size")).values("total")
    return Coalesce(Subquery(total), 0, output_field=BigIntegerField())
