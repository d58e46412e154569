"""The statements about signatures; each is bounded, however many referrers somebody pushes."""

from typing import NamedTuple

from core.db.statement import Statement
from policies.signatures.artifact import ARTIFACT_TYPES, MAX_BYTES, tag_of

MAX_REFERRERS = 1000
"""The newest referrers of a manifest, of which those of other kinds are skipped."""

MAX_CANDIDATES = 100
MAX_INDEXES = 100
MAX_INDEX_DEPTH = 3

# What cosign's tag names, referrers that may be signatures, and indexes that list it. The innermost SELECT of referrers
# is of the index alone.
_ABOUT = Statement("""
SELECT 0, manifest_id, '', id FROM distribution_tag
WHERE repository_id = (SELECT repository_id FROM distribution_manifest WHERE id = %s) AND name = %s
UNION ALL SELECT 1, id, '', 0 FROM (
    SELECT id FROM distribution_manifest WHERE id IN (
        SELECT id FROM distribution_manifest
        WHERE repository_id = (SELECT repository_id FROM distribution_manifest WHERE id = %s) AND subject = %s
        ORDER BY id DESC LIMIT %s
    ) AND artifact_type = ANY(%s) ORDER BY id DESC LIMIT %s
) referrer
UNION ALL SELECT 2, id, digest, 0 FROM (
    SELECT parent.id, parent.digest FROM distribution_manifestchild child
    JOIN distribution_manifest parent ON parent.id = child.parent_id
    WHERE child.child_id = %s ORDER BY parent.id DESC LIMIT %s
) parent
""")
_INDEX = 2
_PAYLOAD = Statement("SELECT payload FROM distribution_manifest WHERE id = %s AND size <= %s")
_TAGS = Statement("SELECT name FROM distribution_tag WHERE manifest_id = %s ORDER BY id LIMIT %s")
# By primary keys: neither the subject of a manifest nor the name of a tag changes, and no key is used again.
_REFERRER_STANDS = Statement("""
SELECT 1 FROM distribution_manifest signed, distribution_manifest signature WHERE signed.id = %s AND signature.id = %s
""")
_TAG_STANDS = Statement("""
SELECT 1 FROM distribution_manifest signed, distribution_tag tag
WHERE signed.id = %s AND tag.id = %s AND tag.manifest_id = %s
""")


class Candidate(NamedTuple):
    """A manifest that may have signatures, and the tag through which it does; 0 for a referrer."""

    pk: int
    tag: int


class Signed(NamedTuple):
    """A manifest, itself or an index that lists it, with its candidates: cosign's tag, then the newest first."""

    pk: int
    digest: str
    candidates: tuple[Candidate, ...]


def all_signed(pk: int, digest: str) -> list[Signed]:
    """Return the manifest and the indexes above it, with their candidates."""
    found, waiting = list[Signed](), [(pk, digest, 0)]
    for one, of, depth in waiting:
        bounds = (MAX_REFERRERS, list(ARTIFACT_TYPES), MAX_CANDIDATES)
        about = _ABOUT.rows(one, tag_of(of), one, of, *bounds, one, MAX_INDEXES)
        about.sort(key=lambda row: (row[0], -row[1]))
        found.append(Signed(one, of, tuple(Candidate(row[1], row[3]) for row in about if row[0] != _INDEX)))
        known = {row[0] for row in waiting}
        above = [(row[1], row[2], depth + 1) for row in about if row[0] == _INDEX and row[1] not in known]
        if depth < MAX_INDEX_DEPTH:
            waiting += above[: MAX_INDEXES + 1 - len(waiting)]
    return found


def stands(signed: int, candidate: Candidate) -> bool:
    """Tell whether the manifest exists, and the candidate still is one: a referrer, or under the tag."""
    if candidate.tag:
        return _TAG_STANDS.row(signed, candidate.tag, candidate.pk) is not None
    return _REFERRER_STANDS.row(signed, candidate.pk) is not None


def payload(pk: int) -> bytes | None:
    """Return the payload of a manifest, None when it is missing or too large for signatures."""
    found = _PAYLOAD.value(pk, MAX_BYTES)
    return None if found is None else bytes(found)


def tags_of(pk: int) -> list[str]:
    """Return some tags of a manifest, the oldest first."""
    return [row[0] for row in _TAGS.rows(pk, MAX_CANDIDATES)]
