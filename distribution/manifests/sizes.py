"""The bytes of images: those of their blobs, of an index with its children's, each blob once."""

from collections.abc import Mapping, Sequence

from core.db.statement import Statement

# An index with more children is not added up.
MAX_CHILDREN = 50
# Nor are manifests with more blobs in all.
MAX_USES = 50_000

_CHILDREN = Statement("""
SELECT parent_id, count(*) FROM distribution_manifestchild WHERE parent_id = ANY(%s) GROUP BY parent_id
""")
_USES = Statement("""
SELECT count(*) FROM (
    SELECT 1 FROM (
        SELECT id FROM distribution_manifest WHERE id = ANY(%s)
        UNION ALL SELECT child_id FROM distribution_manifestchild WHERE parent_id = ANY(%s)
    ) part JOIN distribution_manifestblob uses ON uses.manifest_id = part.id LIMIT %s
) found
""")
_SIZES = Statement("""
SELECT root, sum(size) FROM (
    SELECT DISTINCT part.root AS root, blob.id AS id, blob.size AS size
    FROM (
        SELECT id AS root, id FROM distribution_manifest WHERE id = ANY(%s)
        UNION ALL SELECT parent_id, child_id FROM distribution_manifestchild WHERE parent_id = ANY(%s)
    ) part
    JOIN distribution_manifestblob uses ON uses.manifest_id = part.id
    JOIN distribution_link link ON link.id = uses.link_id
    JOIN distribution_blob blob ON blob.id = link.blob_id
) found GROUP BY root
""")


def sizes_of(manifests: Sequence[int]) -> Mapping[int, int]:
    """Return the bytes of all blobs of these manifests and of their children, each blob once, by primary key.

    An index with more than MAX_CHILDREN is missing, and all of them are if they have more than MAX_USES blobs.
    """
    crowded = {pk for pk, count in _CHILDREN.rows(list(manifests)) if count > MAX_CHILDREN}
    wanted = [pk for pk in manifests if pk not in crowded]
    if not wanted or _USES.value(wanted, wanted, MAX_USES + 1) > MAX_USES:
        return {}
    return {pk: int(size) for pk, size in _SIZES.rows(wanted, wanted)}
