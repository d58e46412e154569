"""What holds a manifest or a link, so that collection leaves it: asked in one place.

held(manifest) = a tag, a parent index, or a subject that exists in the repository; held(link) = a manifest.
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

HELD_MANIFEST = Q(_TAGGED) | Q(_CHILD) | Q(_REFERRER)
HELD_LINK = Q(_USED)

# The same in SQL, of the row `manifest` or `link`.
_MANIFEST_IS_HELD = """(
    EXISTS (SELECT 1 FROM distribution_tag WHERE manifest_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifestchild WHERE child_id = manifest.id)
    OR EXISTS (SELECT 1 FROM distribution_manifest subject
        WHERE subject.repository_id = manifest.repository_id AND subject.digest = manifest.subject)
)"""
_LINK_IS_HELD = "EXISTS (SELECT 1 FROM distribution_manifestblob WHERE link_id = link.id)"

_IS_HELD = "SELECT {held} FROM {table} WHERE {row}.id = %s"
# In one statement, later than the one that locked the rows: of a row that a transaction changes a second time,
# PostgreSQL checks the foreign keys at COMMIT, and locks the link's blob for that, out of the order of locks.
_DROP = """
UPDATE {table}
SET last_used_at = greatest(last_used_at, COALESCE(%s::timestamptz, statement_timestamp())),
    is_unreferenced = NOT {held}
WHERE {row}.id = ANY(%s)
"""
_MANIFEST = {"table": "distribution_manifest AS manifest", "row": "manifest", "held": _MANIFEST_IS_HELD}
_LINK = {"table": "distribution_link AS link", "row": "link", "held": _LINK_IS_HELD}

_IS_MANIFEST_HELD = Statement(_IS_HELD.format(**_MANIFEST))
_IS_LINK_HELD = Statement(_IS_HELD.format(**_LINK))
_DROP_MANIFESTS = Statement(_DROP.format(**_MANIFEST))
_DROP_LINKS = Statement(_DROP.format(**_LINK))


def is_manifest_held(pk: int) -> bool:
    """Tell whether anything holds the manifest."""
    return bool(_IS_MANIFEST_HELD.value(pk))


def is_link_held(pk: int) -> bool:
    """Tell whether a manifest holds the link."""
    return bool(_IS_LINK_HELD.value(pk))


def release_manifests(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Say that a hold on these manifests, all locked, ended at `ended_at` (None: now)."""
    _drop(_DROP_MANIFESTS, list(pks), ended_at)


def release_links(pks: Iterable[int], ended_at: datetime | None = None) -> None:
    """Say that a hold on these links, all locked, ended at `ended_at` (None: now)."""
    _drop(_DROP_LINKS, list(pks), ended_at)


def _drop(statement: Statement, pks: list[int], ended_at: datetime | None) -> None:
    # Most manifests have neither children nor referrers.
    if pks:
        statement.run(ended_at, pks)
