"""`is_unreferenced` of manifests and links; a wrong False means that the row is never collected."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from collector.batches import by_pk
from collector.fsck.problem import Problem
from core.db import transactions
from distribution import deletion
from distribution.manifests.references import REFERENCED_LINK, REFERENCED_MANIFEST
from distribution.models import Link, Manifest


def check() -> Iterator[Problem]:
    """Yield each manifest and link whose `is_unreferenced` is wrong, except in repositories that are being deleted."""
    manifests = deletion.in_sight(Manifest.objects.all()).annotate(named=F("digest"), place=F("repository__name"))
    yield from _check_table(manifests, REFERENCED_MANIFEST, "manifest")
    links = deletion.in_sight(Link.objects.all()).annotate(named=F("blob__digest"), place=F("repository__name"))
    yield from _check_table(links, REFERENCED_LINK, "link to blob")


def _check_table(rows: QuerySet[Any], is_referenced: Q, kind: str) -> Iterator[Problem]:
    for is_unreferenced, what in ((True, "looks unused and is in use"), (False, "looks in use and is not")):
        wrong = (
            is_referenced & Q(is_unreferenced=True) if is_unreferenced else ~is_referenced & Q(is_unreferenced=False)
        )
        for row in by_pk(rows.filter(wrong).only("pk")):
            if rows.filter(wrong, pk=row.pk).exists():
                repair = partial(transactions.run, _repair, type(row), wrong, row.pk)
                yield Problem(f"{kind} {row.named} in {row.place}: {what}", "mended", repair)


def _repair(table: type[Manifest] | type[Link], wrong: Q, pk: int) -> None:
    rows: QuerySet[Any] = table.objects.filter(pk=pk)
    row = rows.select_for_update().only("is_unreferenced").first()
    # Checked again under the lock.
    if row is not None and rows.filter(wrong).exists():
        rows.update(is_unreferenced=not row.is_unreferenced, last_used_at=Now())
