"""What the deletion of a tag, a manifest or a repository frees, estimated by a bounded number of rows.

    tag ──> its manifest, if untagged ones are removed ──┐
    manifest, and what only it keeps ────────────────────┴──> links ──> blobs: own, or shared with others

A blob is shared if a manifest that stays names it, or another repository links it. Whether one does tells about content
of others: an estimate without `sees_others` counts such a blob as freed.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from django.conf import settings

from core.db.statement import Statement

# Beyond these an estimate says "more than".
MAX_MANIFESTS = 200
MAX_LINKS = 10_000
MAX_SHARING = 10_000

_TAG = Statement("SELECT manifest_id FROM distribution_tag WHERE repository_id = %s AND name = %s")
_OTHER_TAGS = Statement("""
SELECT count(*) FROM (SELECT 1 FROM distribution_tag WHERE manifest_id = %s AND name <> %s LIMIT %s) found
""")
_PARENTS = Statement("""
SELECT count(*) FROM (SELECT 1 FROM distribution_manifestchild WHERE child_id = %s LIMIT %s) found
""")
_SUBJECTS = Statement("""
SELECT count(*) FROM distribution_manifest manifest
JOIN distribution_manifest subject
    ON subject.repository_id = manifest.repository_id AND subject.digest = manifest.subject
WHERE manifest.id = %s
""")
_KEEPS_UNTAGGED = Statement("SELECT keeps_untagged FROM distribution_repository WHERE id = %s")
_CHILDREN = Statement("SELECT child_id FROM distribution_manifestchild WHERE parent_id = ANY(%s) LIMIT %s")
_REFERRERS = Statement("""
SELECT referrer.id FROM distribution_manifest subject
JOIN distribution_manifest referrer
    ON referrer.repository_id = subject.repository_id AND referrer.subject = subject.digest
WHERE subject.id = ANY(%s) LIMIT %s
""")
# Those of the first list that something outside of the second keeps.
_KEPT = Statement("""
SELECT manifest.id FROM distribution_manifest manifest WHERE manifest.id = ANY(%s) AND (
    EXISTS (SELECT 1 FROM distribution_tag WHERE manifest_id = manifest.id)
    OR EXISTS (
        SELECT 1 FROM distribution_manifestchild WHERE child_id = manifest.id AND NOT parent_id = ANY(%s)
    )
    OR EXISTS (
        SELECT 1 FROM distribution_manifest subject
        WHERE subject.repository_id = manifest.repository_id AND subject.digest = manifest.subject
        AND NOT subject.id = ANY(%s)
    )
)
""")
_LINKS = Statement("SELECT DISTINCT link_id FROM distribution_manifestblob WHERE manifest_id = ANY(%s) LIMIT %s")
_OF_ANOTHER_MANIFEST = """EXISTS (
    SELECT 1 FROM distribution_manifestblob other WHERE other.link_id = link.id AND NOT other.manifest_id = ANY(%s)
)"""
_OF_ANOTHER_REPOSITORY = """EXISTS (
    SELECT 1 FROM distribution_link other
    WHERE other.blob_id = link.blob_id AND other.repository_id <> link.repository_id
)"""


def _bytes(is_shared: str) -> Statement:
    """Return the statement that adds up the bytes of links by this condition; its parameters come first."""
    return Statement(f"""
SELECT is_shared, sum(size) FROM (
    SELECT blob.size AS size, {is_shared} AS is_shared
    FROM distribution_link link JOIN distribution_blob blob ON blob.id = link.blob_id WHERE link.id = ANY(%s)
) found GROUP BY is_shared
""")  # noqa: S608 - of constants


_BYTES = _bytes(f"{_OF_ANOTHER_MANIFEST} OR {_OF_ANOTHER_REPOSITORY}")
_BYTES_HERE = _bytes(_OF_ANOTHER_MANIFEST)
_BYTES_OF_REPOSITORY = _bytes(_OF_ANOTHER_REPOSITORY)
_ALL_BYTES_OF_REPOSITORY = _bytes("FALSE")
_MANIFESTS_SHARING = Statement("""
SELECT count(DISTINCT manifest_id) FROM (
    SELECT manifest_id FROM distribution_manifestblob
    WHERE link_id = ANY(%s) AND NOT manifest_id = ANY(%s) LIMIT %s
) found
""")
_REPOSITORIES_SHARING = Statement("""
SELECT count(DISTINCT repository_id) FROM (
    SELECT other.repository_id AS repository_id
    FROM distribution_link link
    JOIN distribution_link other ON other.blob_id = link.blob_id AND other.repository_id <> link.repository_id
    WHERE link.id = ANY(%s) LIMIT %s
) found
""")
_LINKS_OF_REPOSITORY = Statement("SELECT id FROM distribution_link WHERE repository_id = %s LIMIT %s")


class Keeps(Enum):
    """Why a tag's manifest stays without the tag."""

    TAGS = "other tags name it"
    INDEXES = "an index lists it"
    SUBJECT = "it is about another manifest"
    REPOSITORY = "the repository keeps untagged manifests"
    POLICY = "untagged manifests are not removed"


@dataclass(frozen=True, slots=True)
class Policy:
    """How long unreferenced content stays, and whether untagged manifests are removed."""

    grace_period: timedelta
    removes_untagged: bool
    is_automatic: bool

    @classmethod
    def configured(cls) -> "Policy":
        """Return the policy of the section `garbage_collector`."""
        section = settings.REGISTRY.garbage_collector
        return cls(section.grace_period, section.remove_untagged, section.is_enabled)


@dataclass(frozen=True, slots=True)
class Freed:
    """Freed bytes, and bytes that other manifests or repositories keep; None: it is not told which repositories.

    Numbers of an estimate that is not `is_complete` are lower bounds.
    """

    manifests: int = 0
    own_bytes: int = 0
    shared_bytes: int = 0
    manifests_sharing: int = 0
    repositories_sharing: int | None = 0
    is_complete: bool = True
    keeps: Keeps | None = None


def by_tag(repository: int, tag: str, policy: Policy, *, sees_others: bool) -> Freed:
    """Return what is freed without the tag; `keeps` says why its manifest stays."""
    manifest = _TAG.value(repository, tag)
    if manifest is None:
        return Freed()
    keeps = _keeps(repository, int(manifest), tag, policy)
    return Freed(keeps=keeps) if keeps else by_manifest(repository, int(manifest), policy, sees_others=sees_others)


def _keeps(repository: int, manifest: int, tag: str, policy: Policy) -> Keeps | None:
    if _OTHER_TAGS.value(manifest, tag, 1):
        return Keeps.TAGS
    if _PARENTS.value(manifest, 1):
        return Keeps.INDEXES
    if _SUBJECTS.value(manifest):
        return Keeps.SUBJECT
    if _KEEPS_UNTAGGED.value(repository):
        return Keeps.REPOSITORY
    return None if policy.removes_untagged else Keeps.POLICY


def by_manifest(repository: int, manifest: int, policy: Policy, *, sees_others: bool) -> Freed:
    """Return what is freed without the manifest and its tags."""
    manifests = [manifest]
    if policy.removes_untagged and not _KEEPS_UNTAGGED.value(repository):
        manifests = _closure(manifest)
    links = [pk for (pk,) in _LINKS.rows(manifests, MAX_LINKS + 1)]
    is_complete = len(manifests) <= MAX_MANIFESTS and len(links) <= MAX_LINKS
    links = links[:MAX_LINKS]
    statement = _BYTES if sees_others else _BYTES_HERE
    sizes = {bool(is_shared): int(size) for is_shared, size in statement.rows(manifests, links)}
    return Freed(
        len(manifests),
        sizes.get(False, 0),
        sizes.get(True, 0),
        _MANIFESTS_SHARING.value(links, manifests, MAX_SHARING),
        _REPOSITORIES_SHARING.value(links, MAX_SHARING) if sees_others else None,
        is_complete,
    )


def _closure(manifest: int) -> list[int]:
    """Return the manifest with the children and referrers that nothing else keeps, one more than MAX_MANIFESTS at most.

    What is added keeps others no longer, so its own children and referrers are looked at next.
    """
    going, fresh = [manifest], [manifest]
    while fresh and len(going) <= MAX_MANIFESTS:
        found = {pk for statement in (_CHILDREN, _REFERRERS) for (pk,) in statement.rows(fresh, MAX_MANIFESTS + 1)}
        candidates = sorted(found - set(going))
        kept = {pk for (pk,) in _KEPT.rows(candidates, going, going)}
        fresh = [pk for pk in candidates if pk not in kept][: MAX_MANIFESTS + 1 - len(going)]
        going += fresh
    return going


def by_repository(repository: int, *, sees_others: bool) -> Freed:
    """Return what is freed without the repository; its own bytes wait for no collection, only for `trash.DELAY`."""
    links = [pk for (pk,) in _LINKS_OF_REPOSITORY.rows(repository, MAX_LINKS + 1)]
    is_complete = len(links) <= MAX_LINKS
    links = links[:MAX_LINKS]
    statement = _BYTES_OF_REPOSITORY if sees_others else _ALL_BYTES_OF_REPOSITORY
    sizes = {bool(is_shared): int(size) for is_shared, size in statement.rows(links)}
    sharing = _REPOSITORIES_SHARING.value(links, MAX_SHARING) if sees_others else None
    return Freed(0, sizes.get(False, 0), sizes.get(True, 0), 0, sharing, is_complete)
