"""Counts and sums for a list's columns: by a few statements for the rows of one page, each with a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

from core.admin.declared_filters import DeclaredFiltersList
from core.db.statement import Statement
from core.sizes import size_text
from distribution.manifests.sizes import sizes_of
from distribution.models import Tag

# More rows of a repository are not counted, and more rows of a list not either: PostgreSQL would read all of them.
MOST_COUNTED = 1000
MOST_LISTED = 20_000

# The order has PostgreSQL read the index: if few repositories have most tags, it expects each to have many. Ordered
# manifests it would sort, all of a large repository.
_COUNTS = Statement("""
SELECT id, (
    SELECT count(*) FROM (
        SELECT 1 FROM distribution_tag WHERE repository_id = repository.id ORDER BY repository_id, name LIMIT %s
    ) found
), (
    SELECT count(*) FROM (
        SELECT 1 FROM distribution_manifest WHERE repository_id = repository.id LIMIT %s
    ) found
) FROM distribution_repository repository WHERE id = ANY(%s)
""")


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Pages of the first MOST_LISTED rows; a search or a filter finds what is behind them."""

    is_cut = False

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found = int(rows.order_by().values("pk")[: MOST_LISTED + 1].count())
        self.is_cut = found > MOST_LISTED
        return min(found, MOST_LISTED)


class CountedList(DeclaredFiltersList):
    """A list of repositories that knows the numbers of their tags and manifests."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        counts = counts_of([row.pk for row in rows])
        for row in rows:
            row.counts = counts.get(row.pk)
        self.result_list: Any = rows


def counts_of(repositories: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Return the numbers of tags and manifests by repository; more than MOST_COUNTED are "over 1,000"."""
    found = _COUNTS.rows(MOST_COUNTED + 1, MOST_COUNTED + 1, list(repositories))
    return {pk: (_counted(tags), _counted(manifests)) for pk, tags, manifests in found}


def _counted(count: int) -> str:
    return f"over {MOST_COUNTED:,}" if count > MOST_COUNTED else str(count)


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
