"""`Repository.size`: the bytes of the blobs that a repository links, summed after pushes and collections."""

from collections.abc import Iterable

from core.db import transactions
from core.db.statement import Statement
from distribution.models import Repository

# How many repositories are summed between two stores of counts; a large one takes some tenths of a second.
AT_ONCE = 20

_SUM = Statement("""
SELECT COALESCE(SUM(blob.size), 0) FROM distribution_link link
JOIN distribution_blob blob ON blob.id = link.blob_id WHERE link.repository_id = %s
""")


def refresh(pk: int) -> None:
    """Sum the blobs of a repository; a missing one is no error."""
    # Summed outside of the transaction, which would hold up the pushes to SQLite.
    size = int(_SUM.value(pk))
    row = Repository.objects.filter(pk=pk).exclude(size=size, size__isnull=False)
    transactions.run_volatile(row.update, size=size)


def refresh_named(names: Iterable[str]) -> None:
    """Sum the blobs of the repositories with these names."""
    for pk in Repository.objects.filter(name__in=list(names)).values_list("pk", flat=True):
        refresh(pk)


def unknown(limit: int) -> list[int]:
    """Return the primary keys of up to `limit` repositories that were never summed."""
    return list(Repository.objects.filter(size__isnull=True).values_list("pk", flat=True)[:limit])
