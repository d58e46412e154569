"""Repositories: made by the first push, listed while they hold a manifest, removed once they hold nothing.

Whoever brings something into a repository keeps its row from going first, before any other lock, by its name: of
a row that goes or changes its name meanwhile nothing is found, and another is made.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from acl.name_range import NameRange
from acl.names import RepositoryName
from acl.rules import IdentityRules
from core.db import transactions
from core.db.statement import Statement
from core.db.transactions import LostRaceError
from core.failpoints import failpoint
from distribution.models import Link, Manifest, Repository, Upload
from distribution.protocol.pagination import Page

BATCH = 1000

_FIND = Statement("SELECT id, is_listed FROM distribution_repository WHERE name = %s FOR KEY SHARE")
_INSERT = Statement("""
INSERT INTO distribution_repository (name, is_listed, keeps_untagged, created_at)
VALUES (%s, FALSE, FALSE, statement_timestamp()) ON CONFLICT (name) DO NOTHING
""")
_LOCK_UNUSED = Statement("""
SELECT id FROM distribution_repository WHERE id = %s AND NOT keeps_untagged FOR UPDATE SKIP LOCKED
""")
# A manifest is there as long as a tag of it.
_HOLDS_SOMETHING = Statement("""
SELECT EXISTS (SELECT 1 FROM distribution_manifest WHERE repository_id = repository.id)
    OR EXISTS (SELECT 1 FROM distribution_link WHERE repository_id = repository.id)
    OR EXISTS (SELECT 1 FROM distribution_upload WHERE repository_id = repository.id)
FROM distribution_repository repository WHERE id = %s
""")
_REMOVE = Statement("DELETE FROM distribution_repository WHERE id = %s")


def ensure(name: RepositoryName) -> Repository:
    """Return the repository called `name`, made now when it is new; it stays until the transaction has ended.

    Called before anything else is locked. Raises LostRaceError.
    """
    row = _FIND.row(name)
    if row is None:
        _INSERT.run(name)
        row = _FIND.row(name)
    if row is None:
        raise LostRaceError("the repository went as soon as it came")
    return Repository.from_db("default", ("id", "name", "is_listed"), (row[0], name, bool(row[1])))


def remove_if_empty(pk: int) -> bool:
    """Remove the row of a repository that holds nothing; False when it holds something, is busy, or is to stay.

    One that keeps what is untagged stays: a person has said so, of what is pushed later too.
    """
    if _HOLDS_SOMETHING.value(pk):
        return False
    is_removed = transactions.run(_remove_if_empty, pk)
    failpoint("collect.after_repository_commit")
    return is_removed


def _remove_if_empty(pk: int) -> bool:
    if _LOCK_UNUSED.row(pk) is None or _HOLDS_SOMETHING.value(pk):
        return False
    _REMOVE.run(pk)
    failpoint("collect.before_repository_commit")
    return True


def empty() -> QuerySet[Repository]:
    """Return the repositories that `remove_if_empty` would remove at this moment."""
    held: list[QuerySet[Any]] = [Manifest.objects.all(), Link.objects.all(), Upload.objects.all()]
    conditions = (IsNull(_first_of(rows), True) for rows in held)
    return Repository.objects.filter(*conditions, keeps_untagged=False)


def _first_of(rows: QuerySet[Any]) -> Subquery:
    """Return one of a repository's `rows`, looked up for each repository: a join might read all there are of any."""
    return Subquery(rows.filter(repository=OuterRef("pk")).values("pk")[:1])


def catalog(limit: int, last: str, rules: IdentityRules) -> Page:
    """Return up to `limit` names after `last`, in byte order, of repositories that hold something and may be pulled.

    Only the ranges that the rules' patterns begin with are read: a page costs what it shows, not what there is.
    """
    names: list[str] = []
    for wanted in rules.ranges("pull"):
        visible = (name for name in _names(wanted, last, limit + 1) if "pull" in rules.actions_on(name))
        names += islice(visible, limit + 1 - len(names))
    return Page.of(names, limit)


def _names(wanted: NameRange, last: str, size: int) -> Iterator[str]:
    """Give the names of the range after `last`: first `size` of them, then more at a time while none is shown."""
    while batch := _batch(wanted, last, size):
        yield from batch
        last, size = batch[-1], min(size * 2, BATCH)


def _batch(wanted: NameRange, last: str, size: int) -> list[str]:
    rows = Repository.objects.filter(is_listed=True, name__gte=wanted.low, name__gt=last).order_by("name")
    # A manifest was put there once (`is_listed`), and one is there still: that is never written, and so never wrong.
    rows = rows.filter(IsNull(_first_of(Manifest.objects.all()), False))
    if wanted.high is not None:
        rows = rows.filter(name__lt=wanted.high)
    return list(rows.values_list("name", flat=True)[:size])
