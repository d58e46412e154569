"""A manifest with those whose state its removal changes: its children and its referrers."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from distribution import holds
from distribution.models import Link, Manifest, ManifestBlob, ManifestChild
from distribution.models import remove as remove_rows
from distribution.transactions import LostRaceError


@dataclass(frozen=True, slots=True)
class Family:
    """Locked manifests; `is_complete` when no member is busy elsewhere or came in between."""

    manifest: Manifest
    pks: frozenset[int]
    is_complete: bool


def lock(manifest: Manifest, *, skip_locked: bool = False) -> Family:
    """Lock the manifest, its children and its referrers, by primary key in one statement."""
    # Read first: with a subquery beside an OR, PostgreSQL reads every manifest there is.
    children = list(ManifestChild.objects.filter(parent_id=manifest.pk).values_list("child_id", flat=True))
    referrers = Q(repository_id=manifest.repository_id, subject=manifest.digest)
    rows = Manifest.objects.select_for_update(skip_locked=skip_locked).order_by("pk")
    members = Q(pk__in=[manifest.pk, *children]) | referrers
    pks = frozenset(rows.filter(members).values_list("pk", flat=True))
    # Asked anew, in statements of their own: under READ COMMITTED the locking one may have waited.
    needed = set(ManifestChild.objects.filter(parent_id=manifest.pk).values_list("child_id", flat=True))
    needed |= set(Manifest.objects.filter(referrers).values_list("pk", flat=True))
    return Family(manifest, pks, needed <= pks)


def remove(family: Family, *, ended_at: datetime | None, skip_locked: bool = False) -> None:
    """Remove the manifest of a complete family, and say that its holds ended at `ended_at` (None: now).

    Raises LostRaceError when one of its links is busy elsewhere.
    """
    manifest = family.manifest
    uses = ManifestBlob.objects.filter(manifest=manifest)
    wanted = set(uses.values_list("link_id", flat=True))
    rows = Link.objects.select_for_update(skip_locked=skip_locked).filter(pk__in=wanted).order_by("pk")
    if set(rows.values_list("pk", flat=True)) != wanted:
        raise LostRaceError("a link of the manifest is busy")
    remove_rows(uses)
    remove_rows(ManifestChild.objects.filter(parent=manifest))
    remove_rows(Manifest.objects.filter(pk=manifest.pk))
    holds.drop_manifests(family.pks - {manifest.pk}, ended_at)
    holds.drop_links(wanted, ended_at)
