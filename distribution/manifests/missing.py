"""What manifests of a proxied repository name and nobody has pulled yet: `missing` of their rows.

A manifest that was pushed is complete. One that was fetched is stored as it comes, since clients ask for an index first
and never for most of what it lists; what arrives later is added to the references of those that await it.
"""

from collections.abc import Iterable, Set

from core.db.statement import Statement
from upstreams import compiled

_AWAITING = Statement("""
SELECT id FROM distribution_manifest
WHERE repository_id = %s AND missing IS NOT NULL AND missing LIKE %s ORDER BY id
""")
_ALL_AWAITED = Statement("""
SELECT id, missing FROM distribution_manifest WHERE repository_id = %s AND missing IS NOT NULL ORDER BY id
""")
_LOCK_AWAITING = Statement("""
SELECT id FROM distribution_manifest
WHERE repository_id = %s AND missing IS NOT NULL AND missing LIKE %s ORDER BY id FOR UPDATE
""")
_SET = Statement("UPDATE distribution_manifest SET missing = %s WHERE id = %s")
_ARRIVED = Statement("""
UPDATE distribution_manifest SET missing = NULLIF(TRIM(REPLACE(' ' || missing || ' ', %s, ' ')), '')
WHERE id = ANY(%s)
""")
_REFERENCE_BLOB = Statement("""
INSERT INTO distribution_manifestblob (manifest_id, link_id)
SELECT manifest.id, link.id FROM distribution_manifest manifest
JOIN distribution_link link ON link.repository_id = manifest.repository_id
WHERE manifest.id = ANY(%s) AND link.blob_id = (SELECT id FROM distribution_blob WHERE digest = %s)
ON CONFLICT DO NOTHING
""")
_MARK_LINK_REFERENCED = Statement("""
UPDATE distribution_link SET is_unreferenced = FALSE
WHERE repository_id = %s AND blob_id = (SELECT id FROM distribution_blob WHERE digest = %s)
""")
_REFERENCE_CHILD = Statement("""
INSERT INTO distribution_manifestchild (parent_id, child_id)
SELECT id, %s FROM distribution_manifest WHERE id = ANY(%s) ON CONFLICT DO NOTHING
""")


def lock_name(name: str) -> str:
    """Return the advisory lock of fetches into a repository: otherwise a manifest and its blob miss each other."""
    return f"fetched {name}"


def lock_names(name: str, version: str) -> list[str]:
    """Return the advisory lock that a push needs too, none where nothing is fetched."""
    return [lock_name(name)] if compiled.of(name, version) is not None else []


def awaiting(repository_pk: int, digest: str) -> list[int]:
    """Return the manifests that await `digest`, unlocked."""
    return [pk for (pk,) in _AWAITING.rows(repository_pk, f"%{digest}%")]


def awaiting_any(repository_pk: int, digests: Set[str]) -> list[int]:
    """Return the manifests that await any of `digests`, unlocked."""
    return [pk for pk, awaited in _ALL_AWAITED.rows(repository_pk) if not digests.isdisjoint(awaited.split())]


def lock_awaiting(repository_pk: int, digest: str) -> list[int]:
    """Return the manifests that await `digest`, locked by primary key."""
    return [pk for (pk,) in _LOCK_AWAITING.rows(repository_pk, f"%{digest}%")]


def set_of(manifest_pk: int, digests: Iterable[str]) -> None:
    """Store what the manifest awaits, nothing for none."""
    _SET.run(" ".join(sorted(digests)) or None, manifest_pk)


def blob_arrived(repository_pk: int, manifest_pks: list[int], digest: str) -> None:
    """Have the manifests, which are locked, reference the blob, which is linked."""
    if manifest_pks:
        _ARRIVED.run(f" {digest} ", manifest_pks)
        _REFERENCE_BLOB.run(manifest_pks, digest)
        _MARK_LINK_REFERENCED.run(repository_pk, digest)


def child_arrived(manifest_pks: list[int], child_pk: int, digest: str) -> None:
    """Have the indexes, which are locked, reference the manifest."""
    if manifest_pks:
        _ARRIVED.run(f" {digest} ", manifest_pks)
        _REFERENCE_CHILD.run(child_pk, manifest_pks)
