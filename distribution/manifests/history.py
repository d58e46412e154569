"""The history of tags: a row for each that was created, moved or deleted, written by the transaction that does it.

A deleted repository leaves no row for each of its tags: what is left is the history up to then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from acl.names import RepositoryName
from core.db.statement import Statement
from distribution.models import Manifest, Tag, TagMove

# Of one INSERT: SQLite binds at most 32,766 values.
ROWS = 500

# The tags are locked.
_RECORD_DELETIONS = Statement("""
INSERT INTO distribution_tagmove (repository, tag, old_digest, new_digest, account, moved_at)
SELECT repository.name, tag.name, manifest.digest, '', %s::text, statement_timestamp()
FROM distribution_tag tag
JOIN distribution_manifest manifest ON manifest.id = tag.manifest_id
JOIN distribution_repository repository ON repository.id = tag.repository_id
WHERE tag.id = ANY(%s)
""")
# The last move of each tag, in the order of the index.
_LAST_MOVES = Statement("""
SELECT max(id) FROM distribution_tagmove WHERE repository = %s AND tag > %s GROUP BY tag ORDER BY tag LIMIT %s
""")


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves of one tag, the newest first, and the digests among them whose manifest is still in the repository."""

    rows: Sequence[TagMove]
    present: frozenset[str]
    has_more: bool


@dataclass(frozen=True, slots=True)
class DeletedTag:
    """A tag that is missing now: its last digest, who deleted it, and when; None: no move says so."""

    name: str
    digest: str
    account: str | None
    deleted_at: datetime | None


def record_moves(name: RepositoryName, before: Sequence[tuple[str, str]], digest: str, account: str) -> None:
    """Record that tags have moved to `digest`; `before` has each tag with its digest so far, "" for a new one."""
    for start in range(0, len(before), ROWS):
        some = before[start : start + ROWS]
        _insert(len(some)).run(*(value for tag, old in some for value in (name, tag, old, digest, account)))


@lru_cache(maxsize=16)
def _insert(count: int) -> Statement:
    rows = ", ".join(["(%s, %s, %s, %s, %s, statement_timestamp())"] * count)
    columns = "repository, tag, old_digest, new_digest, account, moved_at"
    return Statement(f"INSERT INTO distribution_tagmove ({columns}) VALUES {rows}")  # noqa: S608 - of constants


def record_deletions(pks: Sequence[int], account: str) -> None:
    """Record that the tags with these primary keys, all locked and still there, are deleted."""
    if pks:
        _RECORD_DELETIONS.run(account, list(pks))


def moves(
    name: RepositoryName, tag: str, limit: int, before: int | None = None, *, since: datetime | None = None
) -> Moves:
    """Return up to `limit` moves of the tag since a time, older than the move `before` (None: the newest)."""
    found = TagMove.objects.filter(repository=name, tag=tag).order_by("-pk")
    if before is not None:
        found = found.filter(pk__lt=before)
    if since is not None:
        found = found.filter(moved_at__gte=since)
    rows = list(found[: limit + 1])
    return Moves(rows[:limit], _present(name, rows[:limit]), len(rows) > limit)


def _present(name: RepositoryName, rows: Sequence[TagMove]) -> frozenset[str]:
    digests = {digest for row in rows for digest in (row.old_digest, row.new_digest)} - {""}
    found = Manifest.objects.filter(repository__name=name, digest__in=digests)
    return frozenset(found.values_list("digest", flat=True))


def deleted_tags(
    name: RepositoryName, after: str, limit: int, *, since: datetime | None = None
) -> tuple[list[DeletedTag], str]:
    """Return the tags among the next `limit` with a history after `after` that are missing now, in byte order.

    Those that last moved before `since`, those of an earlier repository of the same name, are left out.

    The other value is the `after` of what follows, "" at the end: a page may be short, or empty, and not the last.
    """
    last = [pk for (pk,) in _LAST_MOVES.rows(name, after, limit)]
    rows = list(TagMove.objects.filter(pk__in=last).order_by("tag"))
    tags = Tag.objects.filter(repository__name=name, name__in=[row.tag for row in rows])
    here = set(tags.values_list("name", flat=True))
    deleted = [
        DeletedTag(
            row.tag,
            row.new_digest or row.old_digest,
            None if row.new_digest else row.account,
            None if row.new_digest else row.moved_at,
        )
        for row in rows
        if row.tag not in here and (since is None or row.moved_at >= since)
    ]
    return deleted, rows[-1].tag if len(last) == limit else ""
