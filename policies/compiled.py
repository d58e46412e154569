"""The policies of a repository, compiled once per permissions version and process.

A trigger replaces that version at each change (`policies.apps`), so that it counts at the next request in every
process, and without a policy no request asks the database.
"""

import logging
from typing import TypeVar

from django.core.exceptions import ValidationError

from core.caches import VersionedCache
from policies.models import Policy

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Policy)

_rows: VersionedCache[tuple[Policy, ...]] = VersionedCache()
# As many as there are names in the cache of permissions: clients choose them.
_of_repository: VersionedCache[tuple[Policy, ...]] = VersionedCache(limit=20_000, name="policies")


def all_of(kind: type[Kind], version: str) -> tuple[Kind, ...]:
    """Return the valid policies of `kind` at `version`, which are shared and not to be changed."""
    return _rows.get(version, kind, lambda: _compile(kind))  # type: ignore[return-value]  # rows of that kind


def of(kind: type[Kind], name: str, version: str) -> tuple[Kind, ...]:
    """Return the policies of `kind` that hold for the repository `name` at `version`."""
    rows = all_of(kind, version)
    if not rows:
        return ()
    return _of_repository.get(version, (kind, name), lambda: tuple(row for row in rows if row.holds_for(name)))  # type: ignore[return-value]


def _compile(kind: type[Policy]) -> tuple[Policy, ...]:
    """Read the valid policies: only a database shell writes others."""
    valid = []
    for row in kind._default_manager.order_by("pk"):  # noqa: SLF001 - Django documents it
        try:
            row.full_clean(exclude=row.kept_invalid)
        except ValidationError:
            logger.exception("the %s %s is not valid and has no effect", kind._meta.verbose_name, row.pk)  # noqa: SLF001
        else:
            valid.append(row)
    return tuple(valid)
