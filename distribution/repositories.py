"""Repositories: created by the first push, listed while they have a manifest, removed when they are empty.

Every verb that adds to a repository first locks its row, found by name: if the row was removed or renamed meanwhile,
nothing is found, and a new row is created.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from accounts import permissions_version
from acl.name_range import NameRange, narrowed
from acl.names import RepositoryName
from acl.rules import IdentityRules
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution.models import Link, Manifest, Repository, Upload
from distribution.protocol.pagination import Page, names_of

BATCH = 1000
# A search for a text that no name contains ends here.
MAX_SEARCHED = 50_000

_FIND = Statement(f"""
SELECT id, is_listed, {permissions_version.IN_SQL},
    EXISTS (SELECT 1 FROM distribution_manifest WHERE repository_id = repository.id AND missing IS NOT NULL)
FROM distribution_repository repository WHERE name = %s FOR KEY SHARE OF repository
""")  # noqa: S608 - of constants
_INSERT = Statement("""
INSERT INTO distribution_repository (name, is_listed, keeps_untagged, created_at)
VALUES (%s, FALSE, FALSE, statement_timestamp()) ON CONFLICT (name) DO NOTHING
""")
_LOCK_UNUSED = Statement("""
SELECT id FROM distribution_repository WHERE id = %s AND NOT keeps_untagged FOR UPDATE SKIP LOCKED
""")
# Tags need no clause of their own: each has a manifest.
_HAS_CONTENT = Statement("""
SELECT EXISTS (SELECT 1 FROM distribution_manifest WHERE repository_id = repository.id)
    OR EXISTS (SELECT 1 FROM distribution_link WHERE repository_id = repository.id)
    OR EXISTS (SELECT 1 FROM distribution_upload WHERE repository_id = repository.id)
FROM distribution_repository repository WHERE id = %s
""")
# `is_listed` says only that a manifest was put there once. A scalar subquery: a join might read all manifests.
_PAGE_SQL = """
SELECT string_agg(name, ' ') FROM (
    SELECT name FROM distribution_repository repository WHERE is_listed AND name >= %s AND name < %s
    AND (SELECT 1 FROM distribution_manifest WHERE repository_id = repository.id LIMIT 1) IS NOT NULL
    ORDER BY name LIMIT %s
) page
"""
_PAGE = Statement(_PAGE_SQL)
_PAGE_TO_THE_END = Statement(_PAGE_SQL.replace(" AND name < %s", ""))
_REMOVE = Statement("DELETE FROM distribution_repository WHERE id = %s")


class RepositoryRow(NamedTuple):
    """A locked repository, and the permissions version when it was found.

    It `has_incomplete` manifests when some that were fetched from an upstream await what they name.
    """

    pk: int
    is_listed: bool
    permissions_version: str
    has_incomplete: bool


def ensure(name: RepositoryName) -> Repository:
    """Do what `ensure_row` does, and return the model: it takes as long to make as the query."""
    row = ensure_row(name)
    return Repository.from_db("default", ("id", "name", "is_listed"), (row.pk, name, row.is_listed))


def ensure_row(name: RepositoryName) -> RepositoryRow:
    """Return the repository called `name`, created if missing; it stays at least until the end of the transaction.

    Called before any other lock is taken. Raises LostRaceError.
    """
    row = existing_row(name)
    if row is None:
        _INSERT.run(name)
        row = existing_row(name)
    if row is None:
        raise LostRaceError("the repository was removed again")
    return row


def existing_row(name: RepositoryName) -> RepositoryRow | None:
    """Do what `ensure_row` does, but return None when there is none."""
    row = _FIND.row(name)
    return RepositoryRow(row[0], bool(row[1]), row[2], bool(row[3])) if row else None


def remove_if_empty(pk: int) -> bool:
    """Remove an empty repository; False when it is not empty, is locked, or `keeps_untagged`.

    An administrator has set `keeps_untagged` for later pushes too, and the row stores it.
    """
    if _HAS_CONTENT.value(pk):
        return False
    is_removed = transactions.run(_remove_if_empty, pk)
    failpoint("collect.after_repository_commit")
    return is_removed


def _remove_if_empty(pk: int) -> bool:
    if _LOCK_UNUSED.row(pk) is None or _HAS_CONTENT.value(pk):
        return False
    _REMOVE.run(pk)
    failpoint("collect.before_repository_commit")
    return True


def empty() -> QuerySet[Repository]:
    """Return the repositories that `remove_if_empty` would remove now."""
    contents: list[QuerySet[Any]] = [Manifest.objects.all(), Link.objects.all(), Upload.objects.all()]
    conditions = (IsNull(_first_of(rows), True) for rows in contents)
    return Repository.objects.filter(*conditions, keeps_untagged=False)


def _first_of(rows: QuerySet[Any]) -> Subquery:
    """Return one of a repository's `rows` by a subquery for each repository: a join might read all of them."""
    return Subquery(rows.filter(repository=OuterRef("pk")).values("pk")[:1])


def catalog(limit: int, last: str, rules: IdentityRules, containing: str = "", prefix: str = "") -> Page:
    """Return up to `limit` names after `last`, in byte order, of repositories with a manifest that may be pulled.

    Names that do not begin with `prefix` or do not contain the text `containing` are left out; a search reads up to
    MAX_SEARCHED names of a range.

    Keyset pagination over the name ranges of the rules' patterns: the cost is that of the page, not of the table.
    """
    names: list[str] = []
    may_pull = rules.allows("pull")
    for wanted in narrowed(rules.ranges("pull"), prefix):
        size = BATCH if containing else limit + 1
        visible: Iterator[str] = _names(wanted, last, size, containing)
        if not wanted.is_whole:
            visible = filter(may_pull, visible)
        names += islice(visible, limit + 1 - len(names))
    return Page.of(names, limit)


def names_below(prefix: str, last: str, rules: IdentityRules) -> Iterator[str]:
    """Yield the names after `last`, in byte order, that begin with `prefix` and may be pulled.

    It reads up to MAX_SEARCHED names of a range, so names may be missing behind many that may not be pulled.
    """
    for inside in narrowed(rules.ranges("pull"), prefix):
        read = islice(_names(inside, last, BATCH, ""), MAX_SEARCHED)
        yield from (name for name in read if "pull" in rules.actions_on(name))


def _names(wanted: NameRange, last: str, size: int, containing: str) -> Iterator[str]:
    """Yield the names of the range after `last`, read in batches that grow from `size` to BATCH."""
    read, most = 0, MAX_SEARCHED if containing else math.inf
    ends = () if wanted.high is None else (wanted.high,)
    page = _PAGE_TO_THE_END if wanted.high is None else _PAGE
    # A space sorts before every character of a name: no name is between `last` and `last` with a space.
    while read < most and (batch := names_of(page.value(max(wanted.low, f"{last} "), *ends, size))):
        yield from (name for name in batch if containing in name) if containing else batch
        if len(batch) < size:
            return
        read += len(batch)
        last, size = batch[-1], min(size * 2, BATCH)
