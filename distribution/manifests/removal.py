"""Remove a manifest together with the state of its children and referrers, which the removal changes."""

from dataclasses import dataclass
from datetime import datetime

from core.db.statement import Statement
from core.db.transactions import LostRaceError
from distribution.manifests import references

_CHILDREN = Statement("SELECT child_id FROM distribution_manifestchild WHERE parent_id = %s")
_MEMBERS = """
SELECT id FROM distribution_manifest WHERE id = ANY(%s) OR (repository_id = %s AND subject = %s)
ORDER BY id FOR UPDATE {unless_locked}
"""
_LOCK = Statement(_MEMBERS.format(unless_locked=""))
_LOCK_FREE = Statement(_MEMBERS.format(unless_locked="SKIP LOCKED"))
_REFERRERS = Statement("SELECT id FROM distribution_manifest WHERE repository_id = %s AND subject = %s")
_LINKS = Statement("SELECT link_id FROM distribution_manifestblob WHERE manifest_id = %s")
_OF_LINKS = "SELECT id FROM distribution_link WHERE id = ANY(%s) ORDER BY id FOR UPDATE {unless_locked}"
_LOCK_LINKS = Statement(_OF_LINKS.format(unless_locked=""))
_LOCK_FREE_LINKS = Statement(_OF_LINKS.format(unless_locked="SKIP LOCKED"))
_REMOVE = (
    Statement("DELETE FROM distribution_manifestblob WHERE manifest_id = %s"),
    Statement("DELETE FROM distribution_manifestchild WHERE parent_id = %s"),
    Statement("DELETE FROM distribution_manifest WHERE id = %s"),
)


@dataclass(frozen=True, slots=True)
class RemovalSet:
    """Locked manifests with that of `pk`; not `is_complete` if a member is locked elsewhere, or was added meanwhile."""

    pk: int
    pks: frozenset[int]
    is_complete: bool


def lock(pk: int, repository_pk: int, digest: str, *, skip_locked: bool = False) -> RemovalSet:
    """Lock the manifest, its children and its referrers, by primary key in one statement."""
    # Read first: with a subquery beside an OR, PostgreSQL reads every manifest there is.
    children = _pks(_CHILDREN, pk)
    statement = _LOCK_FREE if skip_locked else _LOCK
    pks = _pks(statement, [pk, *children], repository_pk, digest)
    # Read again, in statements of their own: under READ COMMITTED the locking one may have waited.
    needed = _pks(_CHILDREN, pk) | _pks(_REFERRERS, repository_pk, digest)
    return RemovalSet(pk, pks, needed <= pks)


def remove(removal_set: RemovalSet, *, ended_at: datetime | None, skip_locked: bool = False) -> None:
    """Remove the manifest of a complete set, and release what it referenced as of `ended_at` (None: now).

    Raises LostRaceError when one of its links is locked elsewhere.
    """
    links = _pks(_LINKS, removal_set.pk)
    statement = _LOCK_FREE_LINKS if skip_locked else _LOCK_LINKS
    if _pks(statement, list(links)) != links:
        raise LostRaceError("a link of the manifest is busy")
    for removal in _REMOVE:
        removal.run(removal_set.pk)
    references.release_manifests(removal_set.pks - {removal_set.pk}, ended_at)
    references.release_links(links, ended_at)


def _pks(statement: Statement, *parameters: object) -> frozenset[int]:
    return frozenset(pk for (pk,) in statement.rows(*parameters))
