"""What holds a manifest or a link, so that collection leaves it: asked in one place.

held(manifest) = a tag, a parent index, or a subject that exists in the repository; held(link) = a manifest.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import DateTimeField, Exists, Expression, F, OuterRef, Q, Value
from django.db.models.functions import Greatest, Now

from accounts.statement import Statement
from distribution.models import Link, Manifest, ManifestBlob, ManifestChild, Tag

_TAGGED = Exists(Tag.objects.filter(manifest=OuterRef("pk")))
_CHILD = Exists(ManifestChild.objects.filter(child=OuterRef("pk")))
_REFERRER = Exists(Manifest.objects.filter(repository=OuterRef("repository"), digest=OuterRef("subject")))
_USED = Exists(ManifestBlob.objects.filter(link=OuterRef("pk")))

HELD_MANIFEST = Q(_TAGGED) | Q(_CHILD) | Q(_REFERRER)
HELD_LINK = Q(_USED)

# The same, for one manifest.
_IS_HELD = Statement("""
SELECT EXISTS (SELECT 1 FROM distribution_tag WHERE manifest_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifestchild WHERE child_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifest subject
        WHERE subject.repository_id = manifest.repository_id AND subject.digest = manifest.subject)
FROM distribution_manifest manifest WHERE manifest.id = %s
""")


def is_manifest_held(pk: int) -> bool:
    """Tell whether anything holds the manifest."""
    return bool(_IS_HELD.value(pk))


def is_link_held(pk: int) -> bool:
    """Tell whether a manifest holds the link."""
    return Link.objects.filter(HELD_LINK, pk=pk).exists()


def drop_manifests(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Say that a hold on these manifests, all locked, ended at `ended_at` (None: now)."""
    rows = Manifest.objects.filter(pk__in=list(pks))
    rows.update(used_at=_latest(ended_at))
    rows.exclude(HELD_MANIFEST).update(is_idle=True)


def drop_links(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Say that a hold on these links, all locked, ended at `ended_at` (None: now)."""
    rows = Link.objects.filter(pk__in=list(pks))
    rows.update(used_at=_latest(ended_at))
    rows.exclude(HELD_LINK).update(is_idle=True)


def _latest(ended_at: datetime | None) -> Expression:
    moment = Now() if ended_at is None else Value(ended_at, output_field=DateTimeField())
    return Greatest(moment, F("used_at"))
