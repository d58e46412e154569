"""Repositories: made by the first push, listed for whoever may pull them."""

from collections.abc import Callable

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from acl.names import RepositoryName
from distribution.models import Manifest, Repository
from distribution.pages import Page

BATCH = 1000


def ensure(name: RepositoryName) -> Repository:
    """Return the repository called `name`, made now when it is new."""
    found = Repository.objects.filter(name=name).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return Repository.objects.create(name=name)
    except IntegrityError:
        return Repository.objects.get(name=name)


def catalog(limit: int, last: str, may_see: Callable[[str], bool]) -> Page:
    """Return up to `limit` names after `last`, in byte order, of repositories that hold something and `may_see`."""
    names: list[str] = []
    while len(names) <= limit:
        batch = _names_after(last)
        names += filter(may_see, batch)
        if len(batch) < BATCH:
            break
        last = batch[-1]
    return Page.of(names, limit)


def _names_after(last: str) -> list[str]:
    holds_something = Exists(Manifest.objects.filter(repository=OuterRef("pk")))
    rows = Repository.objects.filter(holds_something, name__gt=last).order_by("name")
    return list(rows.values_list("name", flat=True)[:BATCH])
