"""References that keep a manifest or a link from the collector: the one place that asks for them.

A manifest is referenced by a tag, a parent index, or its subject if that exists in the repository; a link is
referenced by a manifest.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from core.db.statement import Statement
from distribution.models import Manifest, ManifestBlob, ManifestChild, Tag

_TAGGED = Exists(Tag.objects.filter(manifest=OuterRef("pk")))
_CHILD = Exists(ManifestChild.objects.filter(child=OuterRef("pk")))
_REFERRER = Exists(Manifest.objects.filter(repository=OuterRef("repository"), digest=OuterRef("subject")))
_USED = Exists(ManifestBlob.objects.filter(link=OuterRef("pk")))

REFERENCED_MANIFEST = Q(_TAGGED) | Q(_CHILD) | Q(_REFERRER)
REFERENCED_LINK = Q(_USED)

# The same in SQL, of the row `manifest` or `link`.
_MANIFEST_IS_REFERENCED = """(
    EXISTS (SELECT 1 FROM distribution_tag WHERE manifest_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifestchild WHERE child_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifest subject
        WHERE subject.repository_id = manifest.repository_id AND subject.digest = manifest.subject)
)"""
_LINK_IS_REFERENCED = "EXISTS (SELECT 1 FROM distribution_manifestblob WHERE link_id = link.id)"

_IS_REFERENCED = "SELECT {is_referenced} FROM {table} WHERE {row}.id = %s"
# In one statement, later than the one that locked the rows: of a row that a transaction changes a second time,
# PostgreSQL checks the foreign keys at COMMIT, and locks the link's blob for that, out of the order of locks.
_RELEASE = """
UPDATE {table}
SET last_used_at = greatest(last_used_at, COALESCE(%s::timestamptz, statement_timestamp())),
    is_unreferenced = NOT {is_referenced}
WHERE {row}.id = ANY(%s)
"""
_MANIFEST = {
    "table": "distribution_manifest AS manifest",
    "row": "manifest",
    "is_referenced": _MANIFEST_IS_REFERENCED,
}
_LINK = {"table": "distribution_link AS link", "row": "link", "is_referenced": _LINK_IS_REFERENCED}

_IS_MANIFEST_REFERENCED = Statement(_IS_REFERENCED.format(**_MANIFEST))
_IS_LINK_REFERENCED = Statement(_IS_REFERENCED.format(**_LINK))
_RELEASE_MANIFESTS = Statement(_RELEASE.format(**_MANIFEST))
_RELEASE_LINKS = Statement(_RELEASE.format(**_LINK))


def is_manifest_referenced(pk: int) -> bool:
    return bool(_IS_MANIFEST_REFERENCED.value(pk))


def is_link_referenced(pk: int) -> bool:
    return bool(_IS_LINK_REFERENCED.value(pk))


def release_manifests(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Record that a reference to these manifests, all locked, ended at `ended_at` (None: now)."""
    # Most manifests have neither children nor referrers.
    if found := list(pks):
        _RELEASE_MANIFESTS.run(ended_at, found)


def release_links(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Record that a reference to these links, all locked, ended at `ended_at` (None: now)."""
    if found := list(pks):
        _RELEASE_LINKS.run(ended_at, found)
