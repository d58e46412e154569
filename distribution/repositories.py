"""Repositories: made by the first push, listed for whoever may pull them."""

from collections.abc import Iterator
from itertools import islice

from accounts.statement import Statement
from acl.name_range import NameRange
from acl.names import RepositoryName
from acl.rules import IdentityRules
from distribution import transactions
from distribution.models import Repository
from distribution.pages import Page

BATCH = 1000

_FIND = Statement("SELECT id, is_listed FROM distribution_repository WHERE name = %s")


def ensure(name: RepositoryName) -> Repository:
    """Return the repository called `name`, made now when it is new."""
    row = _FIND.row(name)
    if row is None:
        return transactions.run(Repository.objects.get_or_create, name=name)[0]
    return Repository.from_db("default", ("id", "name", "is_listed"), (row[0], name, bool(row[1])))


def catalog(limit: int, last: str, rules: IdentityRules) -> Page:
    """Return up to `limit` names after `last`, in byte order, of repositories that may be pulled.

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
    if wanted.high is not None:
        rows = rows.filter(name__lt=wanted.high)
    return list(rows.values_list("name", flat=True)[:size])
